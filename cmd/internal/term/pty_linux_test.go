package term

import (
	"fmt"
	"image"
	"os"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pseudo is a pseudo-terminal: what is written to one end is read from the other.
func pseudo(t *testing.T) (screen, tty *os.File) {
	t.Helper()
	screen, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { screen.Close() })
	if err := unix.IoctlSetPointerInt(int(screen.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	n, err := unix.IoctlGetInt(int(screen.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	tty, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { tty.Close() })
	return screen, tty
}

// A terminal is asked once and answers in parts; its settings are what they were. One that says nothing is not waited for for long.
func TestTalk(t *testing.T) {
	screen, tty := pseudo(t)
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	asked := make(chan string, 1)
	go func() {
		b := make([]byte, 256)
		n, _ := screen.Read(b)
		asked <- string(b[:n])
		for _, part := range []string{"\x1b_Gi=31;O", "K\x1b\\\x1b[6;20;10t\x1b[?6", "2;4;22c"} {
			screen.WriteString(part)
			time.Sleep(10 * time.Millisecond)
		}
	}()
	a := talk(tty, 10*time.Second)
	if want := (answer{kitty: true, sixel: true, cell: image.Pt(10, 20), whole: true}); a != want {
		t.Errorf("%+v, want %+v", a, want)
	}
	if got := <-asked; got != question {
		t.Errorf("asked %q, want %q", got, question)
	}
	after, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil || *after != *before {
		t.Errorf("settings %+v, before %+v, %v", after, before, err)
	}
	if a := talk(tty, 20*time.Millisecond); a != (answer{}) {
		t.Errorf("a terminal that says nothing has said %+v", a)
	}
}

// The size of a terminal is taken from it, in cells and in pixels.
func TestSize(t *testing.T) {
	_, tty := pseudo(t)
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 30, Col: 100, Xpixel: 900, Ypixel: 540}); err != nil {
		t.Fatal(err)
	}
	got := Detect(tty, Blocks, func(string) string { return "" })
	if want := (Terminal{Mode: Blocks, Width: 100, Height: 30, Cell: image.Pt(9, 18)}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
}
