package infer

// tableLimit is the number of floats up to which the time table of all rows is made in advance and shared (16 MB). Of longer tables
// each worker makes blocks of blockRows rows as it needs them, again for every tile.
const (
	tableLimit = 1 << 22
	blockRows  = 256
)

// timeRows gives the times of each row of a step table.
type timeRows struct {
	n      *net[float32]
	tau    []float64
	bias   []float32 // rows from … from+count of the table
	feat   []float32
	from   int
	count  int
	shared bool // all rows are there
}

// newTimeRows makes the table of the network times tau.
func newTimeRows(n *net[float32], tau []float64) timeRows {
	t := timeRows{n: n, tau: tau}
	if len(tau)*(n.timeLD+n.tf) <= tableLimit {
		w := n.get(0)
		t.make(w, 0, len(tau))
		n.pool.Put(w)
		t.shared = true
	}
	return t
}

// make fills the table with count rows from row from.
func (t *timeRows) make(w *work[float32], from, count int) {
	n := t.n
	t.from, t.count = from, count
	t.bias, t.feat = grow(t.bias, count*n.timeLD), grow(t.feat, count*n.tf)
	for k := range count {
		n.features(t.feat[k*n.tf:(k+1)*n.tf], t.tau[from+k])
	}
	n.timeTable(w, t.bias, t.feat, count)
}

// row returns the times of row k.
func (t *timeRows) row(w *work[float32], k int) times[float32] {
	if k < t.from || k >= t.from+t.count {
		t.make(w, k, min(blockRows, len(t.tau)-k))
	}
	n := t.n
	k -= t.from
	return times[float32]{bias: t.bias[k*n.timeLD : (k+1)*n.timeLD], feat: t.feat[k*n.tf : (k+1)*n.tf]}
}
