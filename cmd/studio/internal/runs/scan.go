package runs

import (
	"bytes"
	"math"
	"strconv"
)

// scan reads a flat JSON object whose values are numbers, or numbers as strings ("NaN", "+Inf"), which is what training logs. It
// writes keys and values, and returns how many. A value of another kind is left out.
//
// It is here because a log may have a million lines, and encoding/json would make a map with new strings of each.
func scan(line []byte, keys []string, values []float64) (n int, ok bool) {
	b := bytes.TrimSpace(line)
	if len(b) < 2 || b[0] != '{' || b[len(b)-1] != '}' {
		return 0, false
	}
	b = b[1 : len(b)-1]
	for {
		b = bytes.TrimLeft(b, " \t")
		if len(b) == 0 {
			return n, n > 0
		}
		var key, value []byte
		if key, b, ok = quoted(b); !ok {
			return 0, false
		}
		b = bytes.TrimLeft(b, " \t")
		if len(b) == 0 || b[0] != ':' {
			return 0, false
		}
		b = bytes.TrimLeft(b[1:], " \t")
		if len(b) == 0 {
			return 0, false
		}
		if b[0] == '"' {
			if value, b, ok = quoted(b); !ok {
				return 0, false
			}
		} else {
			end := bytes.IndexByte(b, ',')
			if end < 0 {
				end = len(b)
			}
			value, b = bytes.TrimRight(b[:end], " \t"), b[end:]
		}
		b = bytes.TrimLeft(b, " \t")
		if len(b) > 0 {
			if b[0] != ',' {
				return 0, false
			}
			b = b[1:]
		}
		if n == len(keys) {
			return n, true
		}
		v, err := strconv.ParseFloat(string(value), 64)
		if err != nil && !math.IsInf(v, 0) {
			if len(value) > 0 && (value[0] == '{' || value[0] == '[') {
				return 0, false // a comma in it would look like the end
			}
			continue
		}
		keys[n], values[n] = name(key), v
		n++
	}
}

// quoted takes a string without escapes off the front.
func quoted(b []byte) (s, rest []byte, ok bool) {
	if len(b) == 0 || b[0] != '"' {
		return nil, b, false
	}
	end := bytes.IndexByte(b[1:], '"')
	if end < 0 || bytes.IndexByte(b[1:1+end], '\\') >= 0 {
		return nil, b, false
	}
	return b[1 : 1+end], b[end+2:], true
}

// name is a key as a string, without memory for those of every line.
func name(key []byte) string {
	switch string(key) {
	case "step":
		return "step"
	case "loss":
		return "loss"
	case "lr":
		return "lr"
	case "grad_norm":
		return "grad_norm"
	case "images_per_s":
		return "images_per_s"
	case "share_of_peak":
		return "share_of_peak"
	case "per_second":
		return "per_second"
	case "seconds":
		return "seconds"
	}
	return string(key)
}
