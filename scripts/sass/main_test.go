package main

import (
	"strings"
	"testing"
)

// dump is cuobjdump's format: two loops, one in the other, and a block out of line that branches back.
const dump = `
	code for sm_90
		Function : twice
	.headerflags    @"EF_CUDA_SM90 EF_CUDA_PTX_SM(EF_CUDA_SM90)"
        /*0000*/                   MOV R1, c[0x0][0x28] ;                 /* 0x00000a0000017a02 */
                                                                          /* 0x000fe20000000f00 */
        /*0010*/                   LDS.128 R4, [R2] ;                     /* 0x0 */
        /*0020*/                   FFMA R0, R4.reuse, R5, R0 ;            /* 0x0 */
        /*0030*/                   HMMA.16816.F32 R4, R8, R2, R4 ;        /* 0x0 */
        /*0031*/                   WARPGROUP.ARRIVE ;                     /* 0x0 */
        /*0032*/                   HGMMA.64x64x16.F32 R24, R4, gdesc[UR8], R24, gsb0 ; /* 0x0 */
        /*0033*/                   WARPGROUP.DEPBAR.LE gsb0, 0x0 ;        /* 0x0 */
        /*0034*/                   DMMA.16x8x8 R4, R8, R2, R4 ;           /* 0x0 */
        /*0038*/                   DADD R6, R4, R4 ;                      /* 0x0 */
        /*0040*/               @P0 BRA 0x20 ;                             /* 0x0 */
        /*0050*/                   MUFU.TANH R3, R3 ;                     /* 0x0 */
        /*0060*/              @!P1 BRA 0x10 ;                             /* 0x0 */
        /*0070*/                   STL [R1], R3 ;                         /* 0x0 */
        /*0080*/                   EXIT ;                                 /* 0x0 */
        /*0090*/                   WARPSYNC.COLLECTIVE R30, 0xb0 ;        /* 0x0 */
        /*00a0*/                   BRA 0x50 ;                             /* 0x0 */
        /*00b0*/                   NOP ;                                  /* 0x0 */
`

func TestReport(t *testing.T) {
	kernels, err := read(strings.NewReader(dump))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if err := report(&out, kernels, true); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"arch kernel ALL FP32 FP64 MUFU HMMA HGMMA WGWAIT DMMA LDS STS LDG SHFL LOCAL",
		"sm_90 twice 16 1 1 1 1 1 1 1 1 0 0 0 1",
		"loop 0x10–0x60 3 0 0 1 0 0 0 0 1 0 0 0 0",
		"loop 0x20–0x40 8 1 1 0 1 1 1 1 0 0 0 0 0",
	}
	for i, line := range strings.Split(strings.TrimSpace(out.String()), "\n") {
		if got := strings.Join(strings.Fields(line), " "); i >= len(want) || got != want[i] {
			t.Errorf("line %d: %q, want %q", i, got, want)
		}
	}
}
