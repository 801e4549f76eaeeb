package ui

import (
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/term"
)

// Field is one named figure of a report, such as loss = 5.69.
type Field struct {
	Name  string
	Value float64
	// Quiet keeps the field out of what is shown; it is still logged.
	Quiet bool
}

// Progress shows how far a long job is and logs the same figures: one measure for eyes and machines.
//
// On a terminal it draws one line in place, with rate and time left; elsewhere it prints a plain line now and then.
// Every call of Report also appends one JSON object to the log, if there is one. A nil *Progress does nothing.
type Progress struct {
	w        io.Writer
	log      io.Writer
	unit     string
	total    int64
	terminal bool
	width    func() int
	now      func() time.Time

	start     time.Time
	first     int64 // done at the start: a resumed job does not count what was done before
	drawn     time.Time
	shown     bool
	rate      float64
	rateAt    time.Time
	rateFrom  int64
	last      int64
	lastLine  string
	drawnLine string
	ended     bool // a plain line has said that all is done
	fields    []Field
	logErr    error
	everyLine time.Duration
}

const (
	redraw     = 100 * time.Millisecond // between two drawings of the bar
	plainEvery = 5 * time.Second        // between two plain lines
	rateMemory = 3 * time.Second        // over which the shown rate is averaged
)

// NewProgress begins a job of total units, the first of which are done already. unit is what is counted ("steps"); log,
// if not nil, receives the JSON lines. w draws in place if it is a terminal.
func NewProgress(w io.Writer, unit string, first, total int64, log io.Writer) *Progress {
	p := &Progress{w: w, log: log, unit: unit, total: total, first: first, last: first, now: time.Now, everyLine: plainEvery}
	if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) && os.Getenv("TERM") != "dumb" {
		p.terminal = true
		p.width = func() int {
			if n, _, err := term.GetSize(int(f.Fd())); err == nil && n > 0 {
				return n
			}
			return 80
		}
	}
	p.start = p.now()
	p.rateAt, p.rateFrom = p.start, first
	return p
}

// Report says that done units are finished, with figures of interest. The log gets all of them, the eye those not
// Quiet. It returns the first error of writing the log.
func (p *Progress) Report(done int64, fields ...Field) error {
	if p == nil {
		return nil
	}
	now := p.now()
	p.measure(now, done)
	p.fields = append(p.fields[:0], fields...)
	if p.log != nil && p.logErr == nil {
		_, p.logErr = p.log.Write(p.record(now, done, fields))
	}
	p.show(now, done)
	return p.logErr
}

// Show says that done units are finished, to the eye alone, with the figures of the last report.
func (p *Progress) Show(done int64) {
	if p == nil {
		return
	}
	now := p.now()
	p.measure(now, done)
	p.show(now, done)
}

// show draws how far the job is, if it is time to.
func (p *Progress) show(now time.Time, done int64) {
	p.last = done
	p.lastLine = p.status(now, done, p.fields)
	every := redraw
	if !p.terminal {
		every = p.everyLine
	}
	if !p.shown || now.Sub(p.drawn) >= every {
		p.draw(now, p.lastLine)
	}
}

// Done draws the last report, whenever it came, and ends the line.
func (p *Progress) Done() {
	if p == nil || p.lastLine == "" {
		return
	}
	if p.terminal || p.lastLine != p.drawnLine {
		p.draw(p.now(), p.lastLine)
	}
	if p.terminal {
		fmt.Fprintln(p.w)
	}
	p.lastLine = ""
}

// Elapsed is the time since the job began, and Rate the mean number of units done in a second of it.
func (p *Progress) Elapsed() time.Duration { return p.now().Sub(p.start) }
func (p *Progress) Rate() float64 {
	return float64(p.last-p.first) / math.Max(p.Elapsed().Seconds(), 1e-9)
}

// measure updates the rate: the mean over windows of rateMemory, the first from the start of the job.
func (p *Progress) measure(now time.Time, done int64) {
	dt := now.Sub(p.rateAt)
	if dt <= 0 {
		return
	}
	if p.rate == 0 || dt >= rateMemory {
		p.rate = float64(done-p.rateFrom) / dt.Seconds()
	}
	if dt >= rateMemory {
		p.rateAt, p.rateFrom = now, done
	}
}

// record is the JSON line of a report. Figures that JSON cannot hold (NaN, ±Inf) become strings.
func (p *Progress) record(now time.Time, done int64, fields []Field) []byte {
	var b strings.Builder
	fmt.Fprintf(&b, `{%q:%d`, strings.TrimSuffix(p.unit, "s"), done)
	for _, f := range fields {
		fmt.Fprintf(&b, `,%q:%s`, Key(f.Name), jsonNumber(f.Value))
	}
	fmt.Fprintf(&b, `,"per_second":%s,"seconds":%s}`+"\n", jsonNumber(round(p.rate)), jsonNumber(round(now.Sub(p.start).Seconds())))
	return []byte(b.String())
}

var keys = strings.NewReplacer("/", "_per_", " ", "_")

// Key makes a field's name a key of the log: "images/s" is images_per_s there.
func Key(name string) string { return keys.Replace(name) }

func jsonNumber(v float64) string {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return strconv.Quote(fmt.Sprint(v))
	}
	b, _ := json.Marshal(v) // a finite float64 always marshals
	return string(b)
}

// round keeps four significant digits.
func round(v float64) float64 {
	r, err := strconv.ParseFloat(strconv.FormatFloat(v, 'g', 4, 64), 64)
	if err != nil {
		return v
	}
	return r
}

// status is the text of a report: a bar on a terminal, then counts, rate, time left and figures.
func (p *Progress) status(now time.Time, done int64, fields []Field) string {
	var b strings.Builder
	if p.total > 0 {
		fmt.Fprintf(&b, "%3d%%  %s/%s %s", int(100*(float64(done)/float64(p.total))), Count(done), Count(p.total), p.unit)
	} else {
		fmt.Fprintf(&b, "%s %s", Count(done), p.unit)
	}
	rate := p.rate
	if p.total > 0 && done >= p.total {
		rate = p.Rate() // of all of it
	}
	if rate > 0 {
		fmt.Fprintf(&b, "  %s/s", Rate(rate))
		if p.total > done {
			fmt.Fprintf(&b, "  %s left", Span(seconds(float64(p.total-done)/rate)))
		}
	}
	if spent := now.Sub(p.start); rate <= 0 && p.total > done && spent >= time.Second { // a sign of life before the first unit is done
		fmt.Fprintf(&b, "  after %s", Span(spent))
	}
	for _, f := range fields {
		if !f.Quiet {
			fmt.Fprintf(&b, "  %s %.4g", f.Name, f.Value)
		}
	}
	if p.total <= 0 || done >= p.total {
		fmt.Fprintf(&b, "  in %s", Span(now.Sub(p.start)))
	}
	return b.String()
}

func (p *Progress) draw(now time.Time, line string) {
	p.drawn, p.drawnLine, p.shown = now, line, true
	if !p.terminal {
		if !p.ended { // the last line is written once, however often the end is reported
			fmt.Fprintln(p.w, line)
		}
		p.ended = p.total > 0 && p.last >= p.total
		return
	}
	width := p.width() - 1
	if room := width - len(line) - 3; p.total > 0 && room >= 10 {
		line = Bar(float64(p.last)/float64(p.total), min(room, 24)) + " " + line
	} else if len(line) > width {
		line = line[:max(width, 0)]
	}
	fmt.Fprintf(p.w, "\r%s\x1b[K", line)
}

// Bar is a bar of the given number of cells, filled to the eighth of a cell.
func Bar(fraction float64, cells int) string {
	const eighths = " ▏▎▍▌▋▊▉"
	fraction = math.Max(0, math.Min(1, fraction))
	n := int(fraction * float64(8*cells))
	s := strings.Repeat("█", n/8)
	if n/8 < cells {
		s += string([]rune(eighths)[n%8]) + strings.Repeat(" ", cells-n/8-1)
	}
	return "│" + s + "│"
}
