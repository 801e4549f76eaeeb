//go:build linux || darwin || freebsd || netbsd || openbsd

package term

import (
	"errors"
	"image"
	"os"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

// ask asks the terminal of this process. Its answer is empty if there is none in time, or if the process may not talk to it now.
func ask(limit time.Duration) answer {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return answer{}
	}
	defer tty.Close()
	// A process in the background would be stopped.
	if group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP); err != nil || group != unix.Getpgrp() {
		return answer{}
	}
	return talk(tty, limit)
}

// talk asks the terminal behind tty, which must not echo the answer nor wait for the end of its line.
func talk(tty *os.File, limit time.Duration) (a answer) {
	fd := int(tty.Fd())
	before, err := term.MakeRaw(fd)
	if err != nil {
		return answer{}
	}
	defer term.Restore(fd, before)
	if _, err := tty.WriteString(question); err != nil {
		return answer{}
	}
	var got []byte
	buffer := make([]byte, 256)
	for end := time.Now().Add(limit); !a.whole; {
		left := time.Until(end)
		if left <= 0 {
			break
		}
		ready := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, err := unix.Poll(ready, int(left.Milliseconds())+1)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err != nil || n < 1 || ready[0].Revents&unix.POLLIN == 0 {
			break
		}
		if n, err = unix.Read(fd, buffer); err != nil || n < 1 {
			break
		}
		got = append(got, buffer[:n]...)
		a = parseAnswer(got)
	}
	return a
}

// cellSize is the size of a cell in pixels, where the terminal has told the kernel; else zero.
func cellSize(f *os.File, columns, rows int) image.Point {
	s, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
	if err != nil || columns < 1 || rows < 1 {
		return image.Point{}
	}
	c := image.Pt(int(s.Xpixel)/columns, int(s.Ypixel)/rows)
	if c.X < 1 || c.Y < 1 || c.X > mostCell || c.Y > mostCell {
		return image.Point{}
	}
	return c
}
