package nets

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// Classes of published networks, as config.json names them.
const (
	classUNet  = "UNet2DModel"
	classDiT   = "DiT"
	classDiT1D = "DiT1D"
)

var classNames = []string{classUNet, classDiT, classDiT1D}

// FromPublished reads a config.json. Its "_class_name" is UNet2DModel, with the settings of diffusers' class of that name, or
// DiT or DiT1D, with the arguments of the constructor of facebookresearch/DiT. Settings that are not given have the defaults
// of those classes. A setting that is not known, or has a value that the networks here do not have, is an error that names it.
func FromPublished(text []byte) (Config, error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(text, &fields); err != nil {
		if errors.As(err, new(*json.UnmarshalTypeError)) {
			return nil, errors.New(`nets: the JSON value is no object; want settings by name, {"_class_name": …}`)
		}
		return nil, fmt.Errorf("nets: %w", err)
	}
	for name, raw := range fields { // values stand in messages, which have one line
		fields[name] = compact(raw)
	}
	var class string
	raw, ok := fields["_class_name"]
	if !ok {
		return nil, fmt.Errorf(`nets: no "_class_name"; want one of %s`, strings.Join(classNames, ", "))
	}
	if err := json.Unmarshal(raw, &class); err != nil || isNull(raw) {
		return nil, fmt.Errorf(`nets: "_class_name" is %.60s; want one of %s`, raw, strings.Join(classNames, ", "))
	}
	p := &published{class: class, fields: fields}
	var c Config
	switch class {
	case classUNet:
		c = p.unet()
	case classDiT, classDiT1D:
		c = p.dit()
	default:
		return nil, fmt.Errorf("nets: class %.60q unknown; have %s", class, strings.Join(classNames, ", "))
	}
	p.rest()
	if p.err != nil {
		return nil, p.err
	}
	return c, c.Validate()
}

// compact is a value without the spaces and the ends of lines between its parts.
func compact(raw json.RawMessage) json.RawMessage {
	var b bytes.Buffer
	if json.Compact(&b, raw) != nil {
		return raw
	}
	return b.Bytes()
}

// published reads settings one by one; what is left at the end is not known.
type published struct {
	class  string
	fields map[string]json.RawMessage
	err    error
}

// isNull reports JSON's null, which is Python's None.
func isNull(raw json.RawMessage) bool { return bytes.Equal(bytes.TrimSpace(raw), []byte("null")) }

// get reads the setting name into v, which keeps its value if the setting is not given. It reports whether it was given
// and is not null.
func (p *published) get(name string, v any) bool {
	raw, ok := p.fields[name]
	delete(p.fields, name)
	if !ok || isNull(raw) {
		return false
	}
	if err := json.Unmarshal(raw, v); err != nil && p.err == nil {
		p.err = fmt.Errorf("nets: %s: setting %q is %.60s; want %s", p.class, name, raw, wanted(reflect.TypeOf(v).Elem()))
	}
	return true
}

// wanted names the values of JSON that a Go type takes.
func wanted(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Float32, reflect.Float64:
		return "a number"
	case reflect.Slice:
		return "a list, each " + wanted(t.Elem())
	}
	return "another kind of value"
}

// number reads a whole number for which null means zero; missing is its value where it is not given.
func (p *published) number(name string, missing int) int {
	if _, ok := p.fields[name]; !ok {
		return missing
	}
	v := 0
	p.get(name, &v)
	return v
}

// only refuses a setting that is given with another value than those.
func (p *published) only(name string, values ...any) {
	var v any
	if !p.get(name, &v) || slices.Contains(values, v) || p.err != nil {
		return
	}
	var have []string
	for _, w := range values {
		text, _ := json.Marshal(w)
		have = append(have, string(text))
	}
	got, _ := json.Marshal(v)
	what := "only null is supported"
	if len(have) > 0 {
		what = "have " + strings.Join(have, ", ")
	}
	p.err = fmt.Errorf("nets: %s: setting %q is %.60s; %s", p.class, name, got, what)
}

// rest refuses the settings that were not read. Names that begin with an underscore are notes of the program that wrote them.
func (p *published) rest() {
	for _, name := range slices.Sorted(maps.Keys(p.fields)) {
		if raw := p.fields[name]; !strings.HasPrefix(name, "_") && !isNull(raw) && p.err == nil {
			p.err = fmt.Errorf("nets: %s: setting %.60q, %.60s, is not known", p.class, name, raw)
		}
	}
}

// size reads one number, or one for each of rank directions.
func (p *published) size(name string, missing, rank int) []int {
	raw, ok := p.fields[name]
	v := slices.Repeat([]int{missing}, rank)
	if !ok && missing > 0 {
		return v
	}
	if !ok || isNull(raw) {
		if p.err == nil {
			p.err = fmt.Errorf("nets: %s: setting %q is missing; want the size of a sample", p.class, name)
		}
		return v
	}
	if raw = bytes.TrimSpace(raw); len(raw) > 0 && raw[0] == '[' {
		var list []int
		if p.get(name, &list); len(list) != rank && p.err == nil {
			p.err = fmt.Errorf("nets: %s: setting %q is %v; want %d numbers", p.class, name, list, rank)
		}
		return slices.Concat(list, v)[:rank]
	}
	p.get(name, &v[0])
	return slices.Repeat(v[:1], rank)
}

// blocks reads the names of blocks; the oldest files have the prefix UNetRes.
func (p *published) blocks(name string, missing []string) []string {
	v := slices.Clone(missing)
	p.get(name, &v)
	for i := range v {
		v[i] = strings.TrimPrefix(v[i], "UNetRes")
	}
	return v
}

// unet reads a UNet2DModel; the defaults are those of diffusers.
func (p *published) unet() UNet {
	s := p.size("sample_size", 0, 2)
	u := UNet{SampleSize: [2]int(s), InChannels: 3, OutChannels: 3, FlipSinToCos: true, BlockOutChannels: []int{224, 448, 672, 896},
		LayersPerBlock: 2, DownsamplePadding: 1, NormNumGroups: 32, NormEps: 1e-5, AddAttention: true}
	for _, v := range []struct {
		name string
		into any
	}{
		{"in_channels", &u.InChannels}, {"out_channels", &u.OutChannels}, {"center_input_sample", &u.CenterInputSample},
		{"freq_shift", &u.FreqShift}, {"flip_sin_to_cos", &u.FlipSinToCos}, {"block_out_channels", &u.BlockOutChannels},
		{"layers_per_block", &u.LayersPerBlock}, {"downsample_padding", &u.DownsamplePadding}, {"dropout", &u.Dropout},
		{"norm_num_groups", &u.NormNumGroups}, {"norm_eps", &u.NormEps}, {"add_attention", &u.AddAttention}, {"none_class", &u.NoneClass},
	} {
		p.get(v.name, v.into)
	}
	u.DownBlockTypes = p.blocks("down_block_types", []string{downBlocks[0], downBlocks[1], downBlocks[1], downBlocks[1]})
	u.UpBlockTypes = p.blocks("up_block_types", []string{upBlocks[1], upBlocks[1], upBlocks[1], upBlocks[0]})
	u.TimeEmbeddingDim = p.number("time_embedding_dim", 0)
	heads, given := p.fields["attention_head_dim"]
	if u.AttentionHeadDim = p.number("attention_head_dim", 8); given && !isNull(heads) && u.AttentionHeadDim == 0 && p.err == nil {
		p.err = fmt.Errorf(`nets: %s: setting "attention_head_dim" is 0; it must be at least 1, or null for one head`, p.class)
	}
	u.NumClassEmbeds = p.number("num_class_embeds", 0)
	p.only("act_fn", "silu", "swish")
	p.only("time_embedding_type", "positional")
	if raw, ok := p.fields["mid_block_type"]; ok && isNull(raw) && p.err == nil {
		p.err = fmt.Errorf(`nets: %s: setting "mid_block_type" is null, a network without a middle block; have "UNetMidBlock2D"`, p.class)
	}
	p.only("mid_block_type", "UNetMidBlock2D")
	p.only("mid_block_scale_factor", 1.0)
	p.only("downsample_type", "conv")
	p.only("upsample_type", "conv")
	p.only("resnet_time_scale_shift", "default")
	p.only("attn_norm_num_groups", float64(u.NormNumGroups))
	p.only("class_embed_type")
	delete(p.fields, "num_train_timesteps") // of a learned embedding of time only
	return u
}

// dit reads a DiT or DiT1D.
func (p *published) dit() DiT {
	d := DiT{PatchSize: 2, InChannels: 4, HiddenSize: 1152, Depth: 28, NumHeads: 16, MLPRatio: 4, ClassDropoutProb: 0.1, LearnSigma: p.class == classDiT}
	rank, classes := 2, 1000
	if p.class == classDiT1D {
		rank, classes = 1, 0
	}
	d.InputSize = p.size("input_size", 32, rank)
	for _, v := range []struct {
		name string
		into any
	}{
		{"patch_size", &d.PatchSize}, {"in_channels", &d.InChannels}, {"hidden_size", &d.HiddenSize}, {"depth", &d.Depth},
		{"num_heads", &d.NumHeads}, {"mlp_ratio", &d.MLPRatio}, {"class_dropout_prob", &d.ClassDropoutProb}, {"learn_sigma", &d.LearnSigma},
	} {
		p.get(v.name, v.into)
	}
	d.NumClasses = p.number("num_classes", classes)
	return d
}

// orNull is nil for zero, so that JSON has null.
func orNull(v int) *int {
	if v == 0 {
		return nil
	}
	return &v
}

// oneSize is one number where all are equal.
func oneSize(v []int) any {
	for _, n := range v {
		if n != v[0] {
			return v
		}
	}
	return v[0]
}

// ToPublished writes the config.json that FromPublished reads, with all settings. An MLP has none.
func ToPublished(c Config) ([]byte, error) {
	var v any
	switch c := c.(type) {
	case UNet:
		fields := struct {
			Class string `json:"_class_name"`
			UNet
			SampleSize       any    `json:"sample_size"`
			AttentionHeadDim *int   `json:"attention_head_dim"`
			TimeEmbeddingDim *int   `json:"time_embedding_dim,omitempty"`
			NumClassEmbeds   *int   `json:"num_class_embeds"`
			ActFn            string `json:"act_fn"`
			MidScale         int    `json:"mid_block_scale_factor"`
			TimeType         string `json:"time_embedding_type"`
			TimeShift        string `json:"resnet_time_scale_shift"`
		}{classUNet, c, oneSize(c.SampleSize[:]), orNull(c.AttentionHeadDim), orNull(c.TimeEmbeddingDim), orNull(c.NumClassEmbeds),
			"silu", 1, "positional", "default"}
		v = fields
	case DiT:
		class := classDiT
		if len(c.InputSize) == 1 {
			class = classDiT1D
		}
		v = struct {
			Class string `json:"_class_name"`
			DiT
			InputSize any `json:"input_size"`
		}{class, c, oneSize(c.InputSize)}
	default:
		return nil, fmt.Errorf("nets: no config.json describes a network of the kind %q; have unet, dit, dit1d", c.Kind())
	}
	text, err := json.MarshalIndent(v, "", "  ")
	return append(text, '\n'), err
}
