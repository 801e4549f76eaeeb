// Package web serves the page of cmd/studio and the JSON that it is made of. docs/studio.md describes the requests.
//
// What a request may do is decided in guard.go: by its host and origin, a token, and the size of its body. Nothing waits for another
// request: computations run side by side up to a number, beyond which they are refused, and whoever reads slowly is cut off.
package web
