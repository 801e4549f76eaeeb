package graph

import "hbar/nets"

// Spec describes a score network that is a chain of dense layers.
type Spec = nets.MLP

// FreqsName is the parameter that holds the frequencies of the Fourier time embedding. It is not trained.
const FreqsName = nets.FreqsName
