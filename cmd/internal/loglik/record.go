package loglik

// Record is what the methods found at some points, to all digits and with what is not finite: the form in which a shard keeps it for
// those who join it with others.
type Record struct {
	H         []float64
	N, D      int
	Methods   []Method
	Probed    bool
	Flow      []Value
	Expansion []Expansion
	Path      [][]Value
	Grid      [][]Value
	ChainOf   string
	FlowBits  []bitsRecord // one or none
	PathBits  []bitsRecord // of each h > 0, or none
	// X and Labels are generated points, which nothing else names.
	X      []float64
	Labels []int32
}

// bitsRecord is a Bits without what is derived from its points.
type bitsRecord struct {
	H       float64
	Kind    string
	ByPaths bool
	Points  []PointBits
	Between []float64
	Probe   []float64
}

// NewRecord keeps the results, and the figures in bits, nil if there are none.
func NewRecord(r *Results, methods []Method, flow *Bits, paths []*Bits) *Record {
	out := &Record{H: r.H, N: r.N, D: r.D, Methods: methods, Probed: r.Probed, Flow: r.Flow, Expansion: r.Expansion, Path: r.Path, Grid: r.Grid, ChainOf: r.ChainOf}
	if flow != nil {
		out.FlowBits = append(out.FlowBits, recordBits(flow))
	}
	for _, b := range paths {
		if b != nil {
			out.PathBits = append(out.PathBits, recordBits(b))
		}
	}
	return out
}

func recordBits(b *Bits) bitsRecord {
	out := bitsRecord{H: b.H, Kind: b.Kind, ByPaths: b.byPaths, Points: b.Points}
	for _, p := range b.Points {
		out.Between, out.Probe = append(out.Between, p.between), append(out.Probe, p.probe)
	}
	return out
}

// Join puts the records of consecutive points one after the other.
func Join(records []*Record) *Record {
	out := *records[0]
	out.FlowBits, out.PathBits = nil, nil
	for _, r := range records[1:] {
		out.N += r.N
		out.Flow, out.Expansion = append(out.Flow, r.Flow...), append(out.Expansion, r.Expansion...)
		out.X, out.Labels = append(out.X, r.X...), append(out.Labels, r.Labels...)
		out.Path, out.Grid = append(out.Path, r.Path...), append(out.Grid, r.Grid...)
	}
	flow := func(r *Record) []bitsRecord { return r.FlowBits }
	paths := func(r *Record) []bitsRecord { return r.PathBits }
	out.FlowBits, out.PathBits = joinBits(records, flow), joinBits(records, paths)
	return &out
}

func joinBits(records []*Record, of func(r *Record) []bitsRecord) []bitsRecord {
	var out []bitsRecord
	for j, b := range of(records[0]) {
		for _, r := range records[1:] {
			c := of(r)[j]
			b.Points, b.Between, b.Probe = append(b.Points, c.Points...), append(b.Between, c.Between...), append(b.Probe, c.Probe...)
			if c.Kind == KindBound {
				b.Kind = c.Kind // a set of points is bounded if one of them is
			}
		}
		out = append(out, b)
	}
	return out
}

// Results are those that the record keeps, without the solutions of fokkerplanck.
func (r *Record) Results() *Results {
	return &Results{H: r.H, N: r.N, D: r.D, Probed: r.Probed, Flow: r.Flow, Expansion: r.Expansion, Path: r.Path, Grid: r.Grid, ChainOf: r.ChainOf}
}

// Bits are the figures in bits over all points, summarised as those of one run.
func (r *Record) Bits(b BitsOptions) (flow *Bits, paths []*Bits) {
	restore := func(q bitsRecord) *Bits {
		out := &Bits{H: q.H, Points: q.Points, Kind: q.Kind, byPaths: q.ByPaths}
		for i := range out.Points {
			out.Points[i].between, out.Points[i].probe = q.Between[i], q.Probe[i]
		}
		out.summarise(b)
		return out
	}
	for _, q := range r.FlowBits {
		flow = restore(q)
	}
	for _, q := range r.PathBits {
		paths = append(paths, restore(q))
	}
	return flow, paths
}
