// Package page holds the files of the page: plain HTML, CSS and ES modules, which the browser reads as they are. There is no build
// step. vendor/ has what others wrote, with its licence.
package page

import "embed"

// Files are the files of the page.
//
//go:embed index.html style.css icon.svg *.js vendor
var Files embed.FS
