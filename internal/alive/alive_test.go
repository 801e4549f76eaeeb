package alive

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"
)

func TestMain(m *testing.M) {
	if os.Getenv("HBAR_TEST_ALIVE") != "" {
		fmt.Println(Self())
		time.Sleep(time.Minute)
		return
	}
	os.Exit(m.Run())
}

// A process lives until it is killed, also before its parent asks about it; of one elsewhere nothing is known.
func TestEnded(t *testing.T) {
	if Self() == "" {
		t.Skip("no /proc")
	}
	if Ended(Self()) {
		t.Error("this process has ended")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self)
	c.Env = append(os.Environ(), "HBAR_TEST_ALIVE=1")
	out, err := c.StdoutPipe()
	if err == nil {
		err = c.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 200)
	n, err := out.Read(b)
	name := strings.TrimSpace(string(b[:n]))
	if err != nil || Ended(name) {
		t.Errorf("%q: %v; it has ended", name, err)
	}
	f := strings.Fields(name)
	if len(f) != 4 {
		t.Fatalf("%q", name)
	}
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); !Ended(name); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("it lives on")
		}
	}
	c.Wait()
	if !Ended(name) {
		t.Error("it lives again")
	}
	f[3] += "1" // another process with the number of one that lives
	mine := strings.Fields(Self())
	if f[2] = mine[2]; !Ended(strings.Join(f, " ")) {
		t.Error("a number that is used again")
	}
	f[0] = "another-boot"
	if Ended(strings.Join(f, " ")) || Ended("") || Ended("a b c d") {
		t.Error("a process elsewhere")
	}
}
