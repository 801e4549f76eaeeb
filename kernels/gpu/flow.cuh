// Code that the fused probability flows share: flow_split_wgmma.cu and flow_split.cu on tensor cores, and flow_fp32.cu.
#pragma once
#include "device.cuh"

// One evaluation, kernels.FlowStage: dx = u x + v n(cin x), dd_j = D w + (u - w) |e_j|^2 + v cin e_j'(dn/dy)e_j.
struct FlowStage { double cin, u, v, w; };

struct Flow {
  int n;           // samples
  int k;           // integrals of a sample
  int stages;      // of a step
  int steps;       // of this launch
  int estimate;    // of the error: 0 none, 1 from E, 2 from E and E3
  int tangents;    // of a sample: K probes, or D unit vectors
  int group;       // flow_fp32: rows of a sample, its value and group - 1 tangents: 2, 3, 4, 6 or 12
  int components;  // of a state: D + K
  int numbers;     // of the states that a warp, or a team of flow_split, has
  int held;        // words of the hidden layers' weights that are in shared memory; flow_split_wgmma: bytes of it before what is the flow's own, 0 if the states are in scratch
  double tol;
};
