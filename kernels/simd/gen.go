package simd

//go:generate sh -c "cd ../_asm && go run . -isa avx2 -out ../simd/avx2_amd64.s -stubs ../simd/avx2_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx512 -out ../simd/avx512_amd64.s -stubs ../simd/avx512_amd64.go -pkg simd"
