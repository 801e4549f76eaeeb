package simd

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestUse(t *testing.T) {
	was := Best()
	defer func() { best = was }()
	for _, im := range All() {
		if err := Use(im.Name); err != nil {
			t.Error(err)
		}
		if got, _ := Choice(); Best() != im || got != im.Name {
			t.Errorf("Use(%s) chose %s", im.Name, got)
		}
	}
	before := Best()
	err := Use("sse9")
	if err == nil || !strings.Contains(err.Error(), `"sse9" unknown; have generic`) {
		t.Errorf("unknown name: %v", err)
	}
	if Best() != before {
		t.Error("an unknown name changed the choice")
	}
}

// TestEnv runs this test binary with HBAR_SIMD set and looks at its choice.
func TestEnv(t *testing.T) {
	if want := os.Getenv("SIMD_TEST_CHOICE"); want != "" {
		name, err := Choice()
		if name != want {
			t.Errorf("chose %s, want %s", name, want)
		}
		if bad := os.Getenv("HBAR_SIMD") != want; bad != (err != nil) {
			t.Errorf("HBAR_SIMD=%s: error %v", os.Getenv("HBAR_SIMD"), err)
		}
		return
	}
	child := func(env, want string) {
		cmd := exec.Command(os.Args[0], "-test.run=^TestEnv$")
		cmd.Env = append(os.Environ(), "HBAR_SIMD="+env, "SIMD_TEST_CHOICE="+want)
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("HBAR_SIMD=%s: %v\n%s", env, err, out)
		}
	}
	for _, im := range All() {
		child(im.Name, im.Name)
	}
	child("sse9", All()[len(All())-1].Name)
}
