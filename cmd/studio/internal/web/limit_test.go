package web

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// deadlines is a client whose clock runs fast: after each write the answer has lasted longer than it may.
type deadlines struct {
	*httptest.ResponseRecorder
	t    *timed
	past int // writes whose deadline had passed
	all  int
}

func (d *deadlines) SetWriteDeadline(end time.Time) error {
	d.all++
	if end.Before(time.Now()) {
		d.past++
	}
	return nil
}

func (d *deadlines) Write(b []byte) (int, error) {
	d.t.began = d.t.began.Add(-2 * answerTime)
	return d.ResponseRecorder.Write(b)
}

// A computation that takes longer than the reading of an answer goes on to its result.
func TestLongComputation(t *testing.T) {
	d := &deadlines{ResponseRecorder: httptest.NewRecorder()}
	d.t = &timed{ResponseWriter: d, control: http.NewResponseController(d)}
	r := httptest.NewRequest(http.MethodGet, "/api/sample", nil)
	r.Header.Set("Accept", "application/x-ndjson")
	New(Options{}).compute(d.t, r, func(_ context.Context, progress func(done, total int)) (any, error) {
		progress(1, 2)
		time.Sleep(2 * progressEvery)
		return 1, nil
	})
	if d.all < 2 || d.past > 0 {
		t.Errorf("%d of %d writes were late", d.past, d.all)
	}
	if d.t.stream {
		t.Error("the result may take for ever to be read")
	}
}
