//go:build !linux && !darwin

package memory

func limits() []Limit { return nil }
