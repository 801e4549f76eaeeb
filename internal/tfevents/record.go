package tfevents

import (
	"encoding/binary"
	"hash/crc32"
)

// A record of the file is the length of its data (uint64), a checksum of these eight bytes (uint32), the data, and a checksum of the
// data (uint32), all of them little-endian. The format is that of TensorFlow's RecordWriter, called TFRecord.
const (
	lengthBytes = 8
	sumBytes    = 4
	headBytes   = lengthBytes + sumBytes
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// masked is the checksum that TFRecord stores: CRC-32C, rotated by 15 bits, plus a constant, so that the checksum of data that hold
// checksums themselves is not degenerate.
func masked(b []byte) uint32 {
	c := crc32.Checksum(b, castagnoli)
	return (c>>15 | c<<17) + 0xa282ead8
}

// appendRecord appends data as a record.
func appendRecord(dst, data []byte) []byte {
	head := binary.LittleEndian.AppendUint64(nil, uint64(len(data)))
	dst = append(dst, head...)
	dst = binary.LittleEndian.AppendUint32(dst, masked(head))
	dst = append(dst, data...)
	return binary.LittleEndian.AppendUint32(dst, masked(data))
}

// nextRecord is the data of the record at the beginning of b, and how many bytes the record takes. It is not ok where no whole record
// with right checksums begins.
func nextRecord(b []byte) (data []byte, size int, ok bool) {
	if len(b) < headBytes+sumBytes || binary.LittleEndian.Uint32(b[lengthBytes:]) != masked(b[:lengthBytes]) {
		return nil, 0, false
	}
	length := binary.LittleEndian.Uint64(b)
	if length > uint64(len(b)-headBytes-sumBytes) {
		return nil, 0, false
	}
	data = b[headBytes:][:length]
	if binary.LittleEndian.Uint32(b[headBytes+length:]) != masked(data) {
		return nil, 0, false
	}
	return data, headBytes + int(length) + sumBytes, true
}
