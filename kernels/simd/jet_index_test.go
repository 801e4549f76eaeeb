package simd

import (
	"reflect"
	"testing"
)

func TestJetIndex(t *testing.T) {
	want2 := [][]int{{0, 0}, {1, 0}, {0, 1}, {2, 0}, {1, 1}, {0, 2}, {3, 0}, {2, 1}, {1, 2}, {0, 3}}
	if got := JetIndex(2, 3); !reflect.DeepEqual(got, want2) {
		t.Errorf("JetIndex(2, 3) = %v, want %v", got, want2)
	}
	want3 := [][]int{{0, 0, 0}, {1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {2, 0, 0}, {1, 1, 0}, {1, 0, 1}, {0, 2, 0}, {0, 1, 1}, {0, 0, 2}}
	if got := JetIndex(3, 2); !reflect.DeepEqual(got, want3) {
		t.Errorf("JetIndex(3, 2) = %v, want %v", got, want3)
	}
	for dim := 1; dim <= 4; dim++ {
		for order := 0; order <= 6; order++ {
			idx := JetIndex(dim, order)
			if len(idx) != NJet(dim, order) {
				t.Errorf("dim %d order %d: %d indices, NJet says %d", dim, order, len(idx), NJet(dim, order))
			}
			for i, a := range idx {
				if got := JetPos(a...); got != i {
					t.Errorf("JetPos(%v) = %d, want %d", a, got, i)
				}
			}
		}
	}
}
