package flags

import (
	"fmt"
	"strconv"
	"strings"
)

// Device says where to compute: "auto" takes a GPU if this build and machine have one, "cpu", "cuda" the first GPU,
// "cuda:1" the second.
type Device struct {
	Kind  string // "auto", "cpu" or "cuda"
	Index int    // of the GPU
}

// ParseDevice reads auto, cpu, cuda or cuda:i.
func ParseDevice(s string) (Device, error) {
	if s == "auto" || s == "cpu" {
		return Device{Kind: s}, nil
	}
	kind, index, numbered := strings.Cut(s, ":")
	if kind == "cuda" {
		if !numbered {
			return Device{Kind: kind}, nil
		}
		if i, err := strconv.ParseUint(index, 10, 16); err == nil {
			return Device{Kind: kind, Index: int(i)}, nil
		}
	}
	return Device{}, fmt.Errorf("device %q unknown; have auto, cpu, cuda, cuda:0, cuda:1, …", s)
}

// String writes the device as ParseDevice reads it; the zero Device is "auto".
func (d Device) String() string {
	switch {
	case d.Kind == "":
		return "auto"
	case d.Kind == "cuda" && d.Index != 0:
		return fmt.Sprintf("cuda:%d", d.Index)
	}
	return d.Kind
}

// Set and Type make *Device a pflag.Value.
func (d *Device) Set(s string) error {
	v, err := ParseDevice(s)
	if err == nil {
		*d = v
	}
	return err
}

// Type names the kind of value.
func (d *Device) Type() string { return "device" }

// MarshalText and UnmarshalText make a Device a JSON string.
func (d Device) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText is the reverse of MarshalText.
func (d *Device) UnmarshalText(b []byte) error { return d.Set(string(b)) }

// Device defines --device; its default, unless p has one, is auto.
func (g *Group) Device(p *Device) {
	if p.Kind == "" {
		p.Kind = "auto"
	}
	g.define(p, "device", "auto|cpu|cuda[:i]", "where to compute; auto takes a GPU if build and machine have one", "", p.String())
}
