package checkpoint

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"hbar/checkpoint/safetensors"
	"hbar/kernels"
	"hbar/nets"
)

// layerName splits "net.2.weight" into "net.", 2 and "weight".
func layerName(name string) (prefix string, number int, part string, ok bool) {
	layer, part, found := cutLast(name, ".")
	if !found || (part != "weight" && part != "bias") {
		return "", 0, "", false
	}
	prefix = strings.TrimRight(layer, "0123456789")
	digits := layer[len(prefix):]
	number, err := strconv.Atoi(digits)
	if err != nil || (len(digits) > 1 && digits[0] == '0') {
		return "", 0, "", false
	}
	return prefix, number, part, true
}

func cutLast(s, sep string) (before, after string, found bool) {
	if i := strings.LastIndex(s, sep); i >= 0 {
		return s[:i], s[i+len(sep):], true
	}
	return s, "", false
}

// orderParams sorts the layers by number and names them dense0, dense1, …. The numbers may have gaps, as the
// activations of an nn.Sequential leave; the prefix must be one.
func orderParams(ts []safetensors.Tensor) ([]kernels.Param, error) {
	type layer struct{ weight, bias *safetensors.Tensor }
	layers := map[int]*layer{}
	var freqs *safetensors.Tensor
	common := ""
	for i := range ts {
		t := &ts[i]
		if t.Name == nets.FreqsName {
			freqs = t
			continue
		}
		prefix, number, part, ok := layerName(t.Name)
		if !ok {
			return nil, fmt.Errorf("tensor %.80q is no layer of an MLP; want dense0.weight, dense0.bias, … (or 0.weight, net.0.weight, …)", t.Name)
		}
		if len(layers) == 0 {
			common = prefix
		} else if prefix != common {
			return nil, fmt.Errorf("tensors of two stacks of layers, %.80q and %.80q; want one MLP", common, prefix)
		}
		l := layers[number]
		if l == nil {
			l = &layer{}
			layers[number] = l
		}
		if part == "weight" {
			l.weight = t
		} else {
			l.bias = t
		}
	}
	if len(layers) == 0 {
		return nil, errors.New("no tensors")
	}
	numbers := make([]int, 0, len(layers))
	for n := range layers {
		numbers = append(numbers, n)
	}
	slices.SortFunc(numbers, cmp.Compare[int])
	var params []kernels.Param
	for k, n := range numbers {
		l := layers[n]
		for _, v := range []struct {
			part string
			t    *safetensors.Tensor
			dims int
		}{{"weight", l.weight, 2}, {"bias", l.bias, 1}} {
			if v.t == nil {
				return nil, fmt.Errorf("tensor %q is missing", fmt.Sprintf("%.80s%d.%s", common, n, v.part))
			}
			if len(v.t.Shape) != v.dims {
				return nil, fmt.Errorf("tensor %.80q has shape %v; want %d dimensions", v.t.Name, v.t.Shape, v.dims)
			}
			p, err := param(fmt.Sprintf("dense%d.%s", k, v.part), v.t)
			if err != nil {
				return nil, err
			}
			params = append(params, p)
		}
	}
	if freqs != nil {
		p, err := param(nets.FreqsName, freqs)
		if err != nil {
			return nil, err
		}
		params = append(params, p)
	}
	return params, nil
}
