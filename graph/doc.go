// Package graph builds score networks as Gorgonia expression graphs and lowers them to programs of package kernels.
package graph

import (
	_ "go4.org/unsafe/assume-no-moving-gc"
	_ "gorgonia.org/gorgonia"
	_ "gorgonia.org/tensor"
)
