package simd

var (
	all  = []*Impl{{Name: "generic"}}
	best = all[0]
)
