package main

import (
	"strings"
	"testing"
)

func TestSelection(t *testing.T) {
	for _, c := range []struct {
		o    options
		rows int
		err  string
	}{
		{options{repeats: 1}, 7, ""},
		{options{repeats: 1, only: []string{"nets"}, batches: []int{1}}, 2, ""},
		{options{repeats: 1, only: []string{"cifar10", "unet28"}}, 3, ""},
		{options{repeats: 1, only: []string{"memory"}}, 0, ""},
		{options{repeats: 0}, 7, "--repeats"},
		{options{repeats: 1, only: []string{"ddpm"}}, 0, "have chains, nets, scan, memory, cifar10"},
		{options{repeats: 1, only: []string{"dit192"}, batches: []int{8}}, 0, "dit192 has [64]"},
		{options{repeats: 1, jobs: []string{"backward"}}, 7, "have forward, vjp, train"},
	} {
		if got := len(c.o.rows()); got != c.rows {
			t.Errorf("%+v: %d rows, want %d", c.o, got, c.rows)
		}
		err := c.o.check()
		if (err == nil) != (c.err == "") || err != nil && !strings.Contains(err.Error(), c.err) {
			t.Errorf("%+v: error %v, want %q", c.o, err, c.err)
		}
	}
}
