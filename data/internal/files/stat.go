package files

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"time"
)

// appendStat appends what identifies the state of a file: size and times.
func appendStat(b []byte, st os.FileInfo) []byte {
	b = binary.LittleEndian.AppendUint64(b, uint64(st.Size()))
	b = binary.LittleEndian.AppendUint64(b, uint64(st.ModTime().UnixNano()))
	return binary.LittleEndian.AppendUint64(b, uint64(lastChange(st).UnixNano()))
}

// Stamp is that of a single file: it changes when the file does. newest is the time of its last change.
func Stamp(name string) (stamp [sha256.Size]byte, newest time.Time, err error) {
	st, err := os.Stat(name)
	if err != nil {
		return stamp, newest, err
	}
	return sha256.Sum256(appendStat(nil, st)), lastChange(st), nil
}
