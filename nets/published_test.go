package nets

import (
	"reflect"
	"strings"
	"testing"
)

// google/ddpm-cifar10-32's config.json.
const ddpmConfig = `{
  "_class_name": "UNet2DModel", "_diffusers_version": "0.0.4", "act_fn": "silu", "attention_head_dim": null,
  "block_out_channels": [128, 256, 256, 256], "center_input_sample": false,
  "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"], "downsample_padding": 0,
  "flip_sin_to_cos": false, "freq_shift": 1, "in_channels": 3, "layers_per_block": 2, "mid_block_scale_factor": 1,
  "norm_eps": 1e-06, "norm_num_groups": 32, "out_channels": 3, "sample_size": 32, "time_embedding_type": "positional",
  "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"]}`

func TestFromPublished(t *testing.T) {
	got, err := FromPublished([]byte(ddpmConfig))
	want := cifar(t)
	if err != nil || !reflect.DeepEqual(got, Config(want)) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	odd := want
	odd.SampleSize, odd.AttentionHeadDim, odd.NumClassEmbeds, odd.NoneClass, odd.TimeEmbeddingDim = [2]int{16, 24}, 64, 4, true, 96
	for _, c := range []Config{
		want, odd,
		DiT{InputSize: []int{8, 8}, PatchSize: 2, InChannels: 3, HiddenSize: 64, Depth: 2, NumHeads: 4, MLPRatio: 4, NumClasses: 10},
		DiT{InputSize: []int{8, 12}, PatchSize: 4, InChannels: 5, HiddenSize: 24, Depth: 2, NumHeads: 2, MLPRatio: 3, LearnSigma: true},
		DiT{InputSize: []int{30}, PatchSize: 3, InChannels: 2, HiddenSize: 32, Depth: 2, NumHeads: 2, MLPRatio: 4, ClassDropoutProb: 0.1},
	} {
		text, err := ToPublished(c)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := FromPublished(text); err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%s came back as %+v, %v", text, got, err)
		}
	}
	if _, err := ToPublished(MLP{}); err == nil || !strings.Contains(err.Error(), `"mlp"`) {
		t.Error(err)
	}
}

// Settings that are not given have the defaults of the published classes; null is not the same as missing.
func TestPublishedDefaults(t *testing.T) {
	c, err := FromPublished([]byte(`{"_class_name": "UNet2DModel", "sample_size": [64, 32]}`))
	if u := c.(UNet); err != nil || u.AttentionHeadDim != 8 || u.NormEps != 1e-5 || !u.FlipSinToCos || u.FreqShift != 0 || u.DownsamplePadding != 1 || u.SampleSize != [2]int{64, 32} || u.BlockOutChannels[3] != 896 {
		t.Errorf("%+v, %v", u, err)
	}
	c, err = FromPublished([]byte(`{"_class_name": "DiT"}`))
	if d := c.(DiT); err != nil || d.HiddenSize != 1152 || d.Depth != 28 || !d.LearnSigma || d.NumClasses != 1000 || d.InChannels != 4 {
		t.Errorf("%+v, %v", d, err)
	}
	c, err = FromPublished([]byte(`{"_class_name": "DiT1D", "input_size": [64]}`))
	if d := c.(DiT); err != nil || d.LearnSigma || d.NumClasses != 0 || d.Kind() != "dit1d" {
		t.Errorf("%+v, %v", d, err)
	}
	c, err = FromPublished([]byte(`{"_class_name": "UNet2DModel", "sample_size": 64, "down_block_types": ["UNetResDownBlock2D"], "up_block_types": ["UNetResUpBlock2D"], "block_out_channels": [32]}`))
	if u := c.(UNet); err != nil || u.DownBlockTypes[0] != "DownBlock2D" || u.UpBlockTypes[0] != "UpBlock2D" {
		t.Errorf("%+v, %v", u, err)
	}
}

func TestPublishedRefused(t *testing.T) {
	unet := func(settings string) string {
		return strings.Replace(ddpmConfig, `{`, `{`+settings+`, `, 1)
	}
	for text, want := range map[string]string{
		`[]`:                    `no object; want settings by name, {"_class_name": …}`,
		`{`:                     "unexpected end",
		`{"_class_name": 3}`:    `"_class_name" is 3; want one of UNet2DModel, DiT, DiT1D`,
		`{"_class_name": null}`: `"_class_name" is null; want one of`,
		`{}`:                    `no "_class_name"; want one of UNet2DModel, DiT, DiT1D`,
		`{"_class_name": "UNet2DConditionModel"}`:                                                    `class "UNet2DConditionModel" unknown; have UNet2DModel, DiT, DiT1D`,
		`{"_class_name": "UNet2DModel"}`:                                                             `"sample_size" is missing`,
		`{"_class_name": "UNet2DModel", "sample_size": null}`:                                        `"sample_size" is missing`,
		`{"_class_name": "UNet2DModel", "sample_size": [32]}`:                                        "want 2 numbers",
		`{"_class_name": "UNet2DModel", "sample_size": 32, "layers_per_block": "two"}`:               `setting "layers_per_block" is "two"; want a whole number`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "block_out_channels": 32}`:                `setting "block_out_channels" is 32; want a list, each a whole number`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "act_fn": "mish"}`:                        `setting "act_fn" is "mish"; have "silu", "swish"`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "time_embedding_type": "fourier"}`:        `setting "time_embedding_type" is "fourier"; have "positional"`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "down_block_types": ["SkipDownBlock2D"]}`: `1 down and 4 up blocks for 4 levels`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "class_embed_type": "timestep"}`:          `setting "class_embed_type" is "timestep"; only null`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "mid_block_scale_factor": 2}`:             `"mid_block_scale_factor" is 2; have 1`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "layers_per_block": 1.5}`:                 `setting "layers_per_block" is 1.5`,
		unet("\"new_list\": [\n  1,\n  2\n]"):                                                        `setting "new_list", [1,2], is not known`,
		`{"_class_name": "UNet2DModel", "sample_size": 32, "attention_head_dim": 0}`:                 `"attention_head_dim" is 0; it must be at least 1, or null for one head`,
		unet(`"mid_block_type": null`):                                                               `"mid_block_type" is null`,
		`{"_class_name": "DiT", "qk_norm": true}`:                                                    `setting "qk_norm", true, is not known`,
		`{"_class_name": "DiT", "hidden_size": 100}`:                                                 "16 heads (num_heads) do not divide the width 100",
		unet(`"resnet_out_scale_factor": 0.7`):                                                       `setting "resnet_out_scale_factor", 0.7, is not known`,
		strings.Replace(ddpmConfig, `"AttnDownBlock2D"`, `"CrossAttnDownBlock2D"`, 1):                `down block "CrossAttnDownBlock2D" unknown; have DownBlock2D, AttnDownBlock2D`,
	} {
		if _, err := FromPublished([]byte(text)); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %v, want %q", text, err, want)
		}
	}
	if _, err := FromPublished([]byte(unet(`"num_train_timesteps": null, "some_new_setting": null, "_name": "x", "mid_block_type": "UNetMidBlock2D"`))); err != nil {
		t.Error(err)
	}
}
