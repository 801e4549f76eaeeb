package tfevents

import (
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Numbers of the fields that are written, from TensorFlow's event.proto and summary.proto.
const (
	eventWallTime   = 1 // double, seconds since 1970
	eventStep       = 2 // int64
	eventVersion    = 3 // string
	eventSummary    = 5 // Summary
	eventSessionLog = 7 // SessionLog

	sessionStatus = 1 // enum
	sessionStart  = 1 // its value START

	summaryValue = 1 // repeated Value

	valueTag    = 1 // string
	valueSimple = 2 // float
	valueImage  = 4 // Image

	imageHeight     = 1 // int32
	imageWidth      = 2 // int32
	imageColorspace = 3 // int32
	imageEncoded    = 4 // bytes

	colorspaceRGB = 3
)

// version is the first event of every file.
const version = "brain.Event:2"

// event begins the message of an event; what it says is appended to it.
func event(wallTime float64, step int64) []byte {
	b := protowire.AppendTag(nil, eventWallTime, protowire.Fixed64Type)
	b = protowire.AppendFixed64(b, math.Float64bits(wallTime))
	b = protowire.AppendTag(b, eventStep, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(step))
}

func appendBytes(b []byte, field protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendString(b []byte, field protowire.Number, v string) []byte {
	return protowire.AppendString(protowire.AppendTag(b, field, protowire.BytesType), v)
}

func appendInt(b []byte, field protowire.Number, v int) []byte {
	return protowire.AppendVarint(protowire.AppendTag(b, field, protowire.VarintType), uint64(v))
}

// scalarValue is the message of a named number.
func scalarValue(tag string, v float64) []byte {
	b := appendString(nil, valueTag, tag)
	b = protowire.AppendTag(b, valueSimple, protowire.Fixed32Type)
	return protowire.AppendFixed32(b, math.Float32bits(float32(v)))
}

// imageValue is the message of a named picture, an encoded PNG of this size.
func imageValue(tag string, width, height int, png []byte) []byte {
	m := appendInt(nil, imageHeight, height)
	m = appendInt(m, imageWidth, width)
	m = appendInt(m, imageColorspace, colorspaceRGB)
	m = appendBytes(m, imageEncoded, png)
	return appendBytes(appendString(nil, valueTag, tag), valueImage, m)
}

// stepAndTags reads of an event what a resumed run must know. It is not ok if b is no message.
func stepAndTags(b []byte) (step int64, tags []string, ok bool) {
	ok = fields(b, func(field protowire.Number, v []byte, n uint64) bool {
		switch field {
		case eventStep:
			step = int64(n)
		case eventSummary:
			return fields(v, func(field protowire.Number, v []byte, _ uint64) bool {
				if field != summaryValue {
					return true
				}
				return fields(v, func(field protowire.Number, v []byte, _ uint64) bool {
					if field == valueTag {
						tags = append(tags, string(v))
					}
					return true
				})
			})
		}
		return true
	})
	return step, tags, ok
}

// fields calls f for each field of a message, with the contents of those that have a length and the value of varints. It returns
// whether b is a message and f was content with all of it.
func fields(b []byte, f func(field protowire.Number, contents []byte, varint uint64) bool) bool {
	for len(b) > 0 {
		field, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		var contents []byte
		var varint uint64
		switch kind {
		case protowire.BytesType:
			contents, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			varint, n = protowire.ConsumeVarint(b)
		default:
			n = protowire.ConsumeFieldValue(field, kind, b)
		}
		if n < 0 || !f(field, contents, varint) {
			return false
		}
		b = b[n:]
	}
	return true
}
