// Package plots draws the pictures of the commands: loss curves, data beside samples, lines with error bands, density
// images. All are PNG files in one style, written whole or not at all.
package plots
