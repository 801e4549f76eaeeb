// Package cudatest is what the tests of the packages below cuda share: opening a device, random networks, tensors.
package cudatest
