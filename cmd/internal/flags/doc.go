// Package flags makes the help of the commands a page one would print: options in groups, each with its unit, range
// and default, then working examples. A value outside its range is a usage error that names the range.
package flags
