package metrics_test

import (
	"context"
	"fmt"

	"hbar/metrics"
)

// Three points in the plane, and the same moved by (3, 4) in another order.
func ExampleW2() {
	x := []float64{0, 0, 1, 0, 0, 1}
	y := []float64{3, 5, 3, 4, 4, 4}
	w, err := metrics.W2(context.Background(), x, y, 2)
	if err != nil {
		panic(err)
	}
	fmt.Println("W2 ", w.W2.Value)
	fmt.Println("W2²", w.W2Squared.Value)
	fmt.Println("pairs", w.Match)
	// Output:
	// W2  5
	// W2² 25
	// pairs [1 2 0]
}
