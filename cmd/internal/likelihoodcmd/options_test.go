package likelihoodcmd

import (
	"io"
	"strings"
	"testing"
)

// Without --method, an h above 0 asks for all methods, and no h for the flow.
func TestDefaultMethod(t *testing.T) {
	dir := t.TempDir()
	for args, want := range map[string]string{"": "flow", "--h 0": "flow", "--h 0,0.1": "all", "--h 0.1 --method wkb": "wkb"} {
		o, err := parse(strings.Fields("--checkpoint none.safetensors --out "+dir+"/q.json "+args), io.Discard)
		if err != nil || o.Method != want {
			t.Errorf("%q: method %q, error %v; want %q", args, o.Method, err, want)
		}
		if want == "flow" && (len(o.H) != 1 || o.H[0] != 0) {
			t.Errorf("%q: h = %v; want 0", args, o.H)
		}
	}
}
