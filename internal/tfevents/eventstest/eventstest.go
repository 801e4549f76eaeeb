// Package eventstest reads event files in tests, by protobuf's own decoder.
package eventstest

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"image/png"
	"math/bits"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/dynamicpb"
)

// eventType is the message Event as TensorFlow's event.proto and summary.proto declare it, as far as it is written here.
func eventType(t *testing.T) protoreflect.MessageDescriptor {
	t.Helper()
	type kind = descriptorpb.FieldDescriptorProto_Type
	const (
		double, float, integer = descriptorpb.FieldDescriptorProto_TYPE_DOUBLE, descriptorpb.FieldDescriptorProto_TYPE_FLOAT, descriptorpb.FieldDescriptorProto_TYPE_INT64
		text, raw, message     = descriptorpb.FieldDescriptorProto_TYPE_STRING, descriptorpb.FieldDescriptorProto_TYPE_BYTES, descriptorpb.FieldDescriptorProto_TYPE_MESSAGE
	)
	field := func(name string, n int32, k kind, of string) *descriptorpb.FieldDescriptorProto {
		f := &descriptorpb.FieldDescriptorProto{Name: &name, Number: &n, Type: &k, Label: descriptorpb.FieldDescriptorProto_LABEL_OPTIONAL.Enum()}
		if of != "" {
			f.TypeName = proto.String(".tensorboard." + of)
		}
		return f
	}
	values := field("value", 1, message, "Value")
	values.Label = descriptorpb.FieldDescriptorProto_LABEL_REPEATED.Enum()
	file, err := protodesc.NewFile(&descriptorpb.FileDescriptorProto{Name: proto.String("event.proto"), Package: proto.String("tensorboard"),
		Syntax: proto.String("proto3"), MessageType: []*descriptorpb.DescriptorProto{
			{Name: proto.String("Event"), Field: []*descriptorpb.FieldDescriptorProto{field("wall_time", 1, double, ""), field("step", 2, integer, ""),
				field("file_version", 3, text, ""), field("summary", 5, message, "Summary"), field("session_log", 7, message, "SessionLog")}},
			{Name: proto.String("SessionLog"), Field: []*descriptorpb.FieldDescriptorProto{field("status", 1, integer, "")}},
			{Name: proto.String("Summary"), Field: []*descriptorpb.FieldDescriptorProto{values}},
			{Name: proto.String("Value"), Field: []*descriptorpb.FieldDescriptorProto{field("tag", 1, text, ""), field("simple_value", 2, float, ""), field("image", 4, message, "Image")}},
			{Name: proto.String("Image"), Field: []*descriptorpb.FieldDescriptorProto{field("height", 1, integer, ""), field("width", 2, integer, ""),
				field("colorspace", 3, integer, ""), field("encoded_image_string", 4, raw, "")}},
		}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return file.Messages().ByName("Event")
}

// record takes the first record off b, and checks its checksums.
func record(t *testing.T, name string, b []byte) (data, rest []byte) {
	t.Helper()
	sum := func(b []byte) uint32 {
		return bits.RotateLeft32(crc32.Checksum(b, crc32.MakeTable(crc32.Castagnoli)), -15) + 0xa282ead8
	}
	if len(b) < 16 || binary.LittleEndian.Uint32(b[8:]) != sum(b[:8]) || binary.LittleEndian.Uint64(b) > uint64(len(b)-16) {
		t.Fatalf("%s: no record begins %d bytes before the end", name, len(b))
	}
	n := binary.LittleEndian.Uint64(b)
	if data = b[12:][:n]; binary.LittleEndian.Uint32(b[12+n:]) != sum(data) {
		t.Fatalf("%s: wrong checksum of the data of a record %d bytes before the end", name, len(b))
	}
	return data, b[16+n:]
}

// Point is a value at a step.
type Point struct {
	Step  int64
	Tag   string
	Value float64 // of a picture, its number of pixels
}

// Read reads all event files of a folder, in the order of their names. starts are the steps of session starts.
func Read(t *testing.T, dir string) (points []Point, starts []int64) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*tfevents*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	of := eventType(t)
	get := func(m protoreflect.Message, name protoreflect.Name) protoreflect.Value {
		return m.Get(m.Descriptor().Fields().ByName(name))
	}
	for _, name := range names {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for first := true; len(b) > 0; first = false {
			var data []byte
			if data, b = record(t, name, b); t.Failed() {
				return nil, nil
			}
			e := dynamicpb.NewMessage(of)
			if err := proto.Unmarshal(data, e); err != nil {
				t.Fatal(err)
			}
			step := get(e, "step").Int()
			if is := get(e, "file_version").String() == "brain.Event:2"; is != first {
				t.Errorf("%s: the version stands in the first event, and only there: %v", name, e)
			}
			if at := get(e, "wall_time").Float(); at < 1.7e9 || at > 1e11 {
				t.Errorf("%s: wall time %v is not in seconds since 1970", name, at)
			}
			if get(get(e, "session_log").Message(), "status").Int() == 1 {
				starts = append(starts, step)
			}
			values := get(get(e, "summary").Message(), "value").List()
			for i := range values.Len() {
				v := values.Get(i).Message()
				p := Point{step, get(v, "tag").String(), get(v, "simple_value").Float()}
				if m := get(v, "image").Message(); m.IsValid() {
					c, err := png.DecodeConfig(bytes.NewReader(get(m, "encoded_image_string").Bytes()))
					if err != nil || int64(c.Width) != get(m, "width").Int() || int64(c.Height) != get(m, "height").Int() || get(m, "colorspace").Int() != 3 {
						t.Errorf("%s: picture %v: %v of %v", name, m, err, c)
					}
					p.Value = float64(c.Width * c.Height)
				}
				points = append(points, p)
			}
		}
	}
	return points, starts
}
