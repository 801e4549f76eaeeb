package web

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// query reads the parameters of a request. The first error is kept, for end.
type query struct {
	values url.Values
	asked  []string
	err    error
}

func (q *query) bad(name, value, want string) {
	if q.err == nil {
		q.err = badRequest{fmt.Errorf("%s = %.100q; want %s", name, value, want)}
	}
}

// text is a parameter, or def where it is missing.
func (q *query) text(name, def string) string {
	q.asked = append(q.asked, name)
	if v := q.values[name]; len(v) > 1 {
		q.bad(name, strings.Join(v, ", "), "one value")
	}
	if q.values.Has(name) {
		return q.values.Get(name)
	}
	return def
}

// needed is a parameter that must be there.
func (q *query) needed(name string) string {
	v := q.text(name, "")
	if v == "" {
		q.bad(name, "", "a value")
	}
	return v
}

func (q *query) number(name string, def float64) float64 {
	t := q.text(name, "")
	if t == "" {
		return def
	}
	v, err := strconv.ParseFloat(t, 64)
	if err != nil || v-v != 0 {
		q.bad(name, t, "a number")
	}
	return v
}

func (q *query) integer(name string, def int) int {
	t := q.text(name, "")
	if t == "" {
		return def
	}
	v, err := strconv.Atoi(t)
	if err != nil {
		q.bad(name, t, "a whole number")
	}
	return v
}

func (q *query) seed(name string) uint64 {
	t := q.text(name, "0")
	v, err := strconv.ParseUint(t, 10, 64)
	if err != nil {
		q.bad(name, t, "a whole number from 0 to 2⁶⁴−1")
	}
	return v
}

func (q *query) yes(name string) bool {
	switch t := q.text(name, ""); t {
	case "", "0", "false":
		return false
	case "1", "true":
		return true
	default:
		q.bad(name, t, "1 or 0")
	}
	return false
}

// end is the first error, or that of a parameter that nobody asked for.
func (q *query) end() error {
	if q.err != nil {
		return q.err
	}
	for name := range q.values {
		if !slices.Contains(q.asked, name) {
			return badRequest{fmt.Errorf("there is no parameter %.100q here; have %s", name, strings.Join(q.asked, ", "))}
		}
	}
	return nil
}
