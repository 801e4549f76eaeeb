package main

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"hbar/cmd/internal/ui"
)

const golden = "../../checkpoint/testdata/golden/"

func export(args ...string) (string, error) {
	var out bytes.Buffer
	err := run(context.Background(), args, ui.Streams{Out: &out, Err: &out})
	return out.String(), err
}

func TestExport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "network")
	text, err := export("--checkpoint", golden+"unet", "--out", dir)
	if err != nil || !strings.Contains(text, "network   unet, 11,742 parameters, samples of [4 6 2]") || !strings.Contains(text, "written   "+dir) {
		t.Errorf("%v\n%s", err, text)
	}
	for _, name := range []string{"config.json", "diffusion_pytorch_model.safetensors", "scheduler_config.json"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
}

func TestErrors(t *testing.T) {
	full := t.TempDir()
	if err := os.WriteFile(filepath.Join(full, "notes.txt"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for args, want := range map[string]string{
		"--out x": "--checkpoint FILE and --out DIR are both needed",
		"--checkpoint nowhere.safetensors --out x":                                      "no checkpoint nowhere.safetensors",
		"--checkpoint " + golden + "unet --out " + full:                                 "is not empty",
		"--checkpoint ../../checkpoint/testdata/sr_simple.safetensors --out x":          "is an MLP, which has no published form",
		"--checkpoint " + golden + "unet --out " + filepath.Join(full, "notes.txt/sub"): "not a directory",
	} {
		if text, err := export(strings.Fields(args)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q\n%s", args, err, want, text)
		}
	}
	if _, err := os.Stat("x"); err == nil {
		t.Error("a directory is there after the errors")
	}
}

// PyTorch reads what is exported and computes a layer with it as it does with the file that it wrote itself.
func TestPyTorch(t *testing.T) {
	python := ""
	for _, p := range []string{"python3", "/usr/bin/python3"} {
		if exec.Command(p, "-c", "import torch").Run() == nil {
			python = p
			break
		}
	}
	if python == "" {
		t.Skip("needs python3 with torch")
	}
	dir := filepath.Join(t.TempDir(), "network")
	if _, err := export("--checkpoint", golden+"unet", "--out", dir); err != nil {
		t.Fatal(err)
	}
	const script = `
import json, struct, sys, torch
def read(path):
    raw = open(path, "rb").read()
    n, = struct.unpack("<Q", raw[:8])
    head = json.loads(raw[8:8 + n])
    head.pop("__metadata__", None)
    return {k: torch.frombuffer(bytearray(raw[8 + n + v["data_offsets"][0]:8 + n + v["data_offsets"][1]]), dtype={"F32": torch.float32}[v["dtype"]]).reshape(v["shape"]) for k, v in head.items()}
ours, theirs = (read(d + "/diffusion_pytorch_model.safetensors") for d in sys.argv[1:])
assert ours.keys() == theirs.keys()
assert all(torch.equal(ours[k], theirs[k]) for k in ours)
x = torch.arange(48.).reshape(1, 2, 4, 6)
for state in (ours, theirs):
    conv = torch.nn.Conv2d(2, 4, 3, padding=1)
    conv.load_state_dict({k: state["conv_in." + k] for k in ("weight", "bias")})
    print(conv(x).double().sum().item())
`
	out, err := exec.Command(python, "-c", script, dir, golden+"unet").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	if lines := strings.Fields(string(out)); len(lines) != 2 || lines[0] != lines[1] {
		t.Errorf("%s", out)
	}
}
