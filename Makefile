# Everything here is a plain Go command; make only names it. `make` lists the targets.

.DEFAULT_GOAL := help
.PHONY: help build cuda gpu-check test calibrate bench bench-scale bench-kernels demo paper paper-quick ci clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# CUDA goes in where its header is (11 or 12: gorgonia.org/cu does not compile against 13's); the binaries run on machines
# without a GPU all the same.
CUDA_H := $(firstword $(wildcard /usr/local/cuda/include/cuda.h /usr/include/cuda.h))
TAGS := $(if $(CUDA_H),$(shell awk '$$2 == "CUDA_VERSION" && $$3 < 13000 { print "-tags gpu"; exit }' $(CUDA_H)))

build: ## the commands, in bin/; with CUDA where cuda.h is installed (make build TAGS= : without)
	go build $(TAGS) -o bin/ ./cmd/...

cuda: ## the CUDA kernels anew, kernels/gpu/*.fatbin; needs nvcc, scripts/setup_cuda.sh
	scripts/build_cuda.sh
	scripts/cuda_gates.sh --update

gpu-check: ## what checks and measures on a machine with a GPU, in one archive: bin/gpu-check.tar.xz
	scripts/gpu_check/build.sh

test: ## all tests
	go test ./...

calibrate: ## how often each printed ± holds the truth: docs/calibration.md; ARGS="--only w2 --repeats 100" for a part
	go run ./cmd/internal/calibrate $(ARGS)
	$(if $(ARGS),,HBAR_CALIBRATE=1 go test ./dynamics -run Calibrate -v -count 1 -timeout 2h)

bench: ## the jobs and networks beside the machine's peak and, where it is installed, PyTorch: some ten minutes
	go run ./scripts/bench

bench-scale: ## two processes beside one, a core each: shards, and training under MPI
	scripts/bench_scale_shards.sh
	scripts/bench_scale_train.sh

bench-kernels: ## each kernel, generic beside fast: rates and shares of the peak
	go test ./kernels/... -run '^$$' -bench . -benchtime 0.2s

demo: ## train on a swiss roll, then draw samples without noise: look at runs/demo
	go run ./cmd/train --out runs/demo --overwrite
	go run ./cmd/sample --checkpoint runs/demo/model.safetensors --h 0 --out runs/demo/ode.npy --plot runs/demo/ode.png

paper: ## the paper's experiments in full: docs/paper.md, about half an hour
	go run ./cmd/paper --size full --out docs/paper.md

paper-quick: ## a small version in minutes: runs/paper.md
	go run ./cmd/paper --size quick

ci: ## what must hold before a change goes in
	.ci/run

clean: ## remove bin/ (runs/ are yours)
	rm -rf bin
