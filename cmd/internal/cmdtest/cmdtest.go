// Package cmdtest has what tests of several commands share.
package cmdtest

import "bytes"

// StopAt is a stream that calls Stop when Text is written to it: a user who stops a command at a place in its work.
type StopAt struct {
	Text string
	Stop func()
}

func (s StopAt) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(s.Text)) {
		s.Stop()
	}
	return len(b), nil
}
