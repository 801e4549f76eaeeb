package shard

import (
	"bytes"
	"crypto/sha256"
	"encoding/gob"
	"errors"
)

// Seal writes values to all digits, with what is not finite, in Go's gob format after its SHA-256: the form in which a shard keeps in a .json
// what those who join it need.
func Seal(v any) ([]byte, error) {
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(v); err != nil {
		return nil, err
	}
	sum := sha256.Sum256(b.Bytes())
	return append(sum[:], b.Bytes()...), nil
}

// Open reads what Seal wrote into v, a pointer.
func Open(b []byte, v any) error {
	if len(b) < sha256.Size {
		return errors.New("the values of the shard are not there")
	}
	if sum := sha256.Sum256(b[sha256.Size:]); !bytes.Equal(sum[:], b[:sha256.Size]) {
		return errors.New("the values of the shard are not as they were written: their hash differs")
	}
	if err := gob.NewDecoder(bytes.NewReader(b[sha256.Size:])).Decode(v); err != nil {
		return errors.New("the values of the shard are of another version of this program")
	}
	return nil
}
