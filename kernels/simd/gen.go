package simd

//go:generate sh -c "cd ../_asm && go run . -isa avx2 -out ../simd/avx2_amd64.s -stubs ../simd/avx2_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx512 -out ../simd/avx512_amd64.s -stubs ../simd/avx512_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx2 -set rows -out ../simd/avx2_rows_amd64.s -stubs ../simd/avx2_rows_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx512 -set rows -out ../simd/avx512_rows_amd64.s -stubs ../simd/avx512_rows_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx2 -set winograd -out ../simd/avx2_winograd_amd64.s -stubs ../simd/avx2_winograd_amd64.go -pkg simd"
//go:generate sh -c "cd ../_asm && go run . -isa avx512 -set winograd -out ../simd/avx512_winograd_amd64.s -stubs ../simd/avx512_winograd_amd64.go -pkg simd"
