//go:build !gpu || !cgo

package cuda

import "fmt"

// Available reports why no CUDA device can be used.
func Available() error {
	return fmt.Errorf("%w: this build has no CUDA (build with -tags gpu)", ErrUnavailable)
}
