package checkpoint

import (
	"fmt"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/kernels"
	"hbar/nets"
)

// tensor describes a parameter as it is stored. A matrix keeps two dimensions even if one is 1.
func tensor(prefix string, p *kernels.Param) safetensors.Tensor {
	shape := []int{p.Rows, p.Cols}
	if p.Cols == 1 && !strings.HasSuffix(p.Name, ".weight") {
		shape = shape[:1]
	}
	return safetensors.Tensor{Name: prefix + p.Name, Shape: shape, F32: p.Data}
}

func tensors(prefix string, params []kernels.Param) []safetensors.Tensor {
	out := make([]safetensors.Tensor, len(params))
	for i := range params {
		out[i] = tensor(prefix, &params[i])
	}
	return out
}

// param is the reverse of tensor.
func param(name string, t *safetensors.Tensor) (kernels.Param, error) {
	v, err := t.Float32()
	if err != nil {
		return kernels.Param{}, err
	}
	p := kernels.Param{Name: name, Rows: 1, Cols: 1, Data: v}
	switch len(t.Shape) {
	case 2:
		p.Rows, p.Cols = t.Shape[0], t.Shape[1]
	case 1:
		p.Rows = t.Shape[0]
	default:
		return p, fmt.Errorf("tensor %q has shape %v; want one or two dimensions", t.Name, t.Shape)
	}
	return p, nil
}

// checkParams tests that the parameters are those of the network, in order.
func checkParams(s nets.MLP, params []kernels.Param) error {
	if err := s.Validate(); err != nil {
		return err
	}
	want := s.ParamShapes()
	for i, w := range want {
		if i >= len(params) {
			return fmt.Errorf("tensor %q is missing", w.Name)
		}
		p := params[i]
		if p.Name != w.Name {
			return fmt.Errorf("tensor %d is %q; want %q", i, p.Name, w.Name)
		}
		if p.Rows != w.Rows || p.Cols != w.Cols {
			return fmt.Errorf("tensor %q is %d×%d; a network of D = %d, width %d, depth %d, %d Fourier frequencies needs %d×%d",
				p.Name, p.Rows, p.Cols, s.D, s.Width, s.Depth, s.Fourier, w.Rows, w.Cols)
		}
		if len(p.Data) != p.Rows*p.Cols {
			return fmt.Errorf("tensor %q of %d×%d has %d elements", p.Name, p.Rows, p.Cols, len(p.Data))
		}
	}
	if len(params) > len(want) {
		return fmt.Errorf("tensor %q is not part of the network", params[len(want)].Name)
	}
	return nil
}
