package data

import "fmt"

// NoLabels is the value of Options.Labels that leaves labels away.
const NoLabels = "none"

// Options say how a set is loaded. The zero value takes all of it, with the labels that it carries.
type Options struct {
	First uint64 // number of the first sample
	N     int    // how many; 0 takes all of a file, and the default of a built-in set
	Seed  uint64 // of a built-in set

	// Columns are the coordinates to take of a table, by name or by number from 1, comma-separated; 2-5 is a range. "" takes all but
	// a column that numbers the rows.
	Columns string
	// Header says whether the first line of a table names the columns: HeaderAuto (or ""), HeaderYes, HeaderNo.
	Header string

	Labels string // a file of labels; "none" for none; "" for those that the data carry
}

// LoadWith is what a --data flag means: a built-in name, else a file, in full or a range of its samples.
func LoadWith(nameOrPath string, o Options) (*Dataset, error) {
	s, err := loadAll(nameOrPath, o)
	if err != nil {
		return nil, err
	}
	switch o.Labels {
	case "":
	case NoLabels:
		s.dropLabels()
	default:
		labels, names, err := readLabels(o.Labels)
		if err == nil {
			if err = s.setLabels(labels, names); err != nil {
				err = fmt.Errorf("data: %s: labels of %s: %w", o.Labels, nameOrPath, err)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	if isBuiltinOrUnknown(nameOrPath) {
		return s, nil
	}
	have, n := s.N(), o.N
	if n <= 0 && o.First < uint64(have) {
		n = have - int(o.First)
	}
	if n <= 0 || o.First > uint64(have) || uint64(n) > uint64(have)-o.First {
		return nil, fmt.Errorf("data: %s has %d samples; asked for %d from sample %d on", nameOrPath, have, max(n, 1), o.First)
	}
	s.keep(int(o.First), n)
	return s, nil
}

// loadAll is a range of a built-in set, or a whole file.
func loadAll(nameOrPath string, o Options) (*Dataset, error) {
	if isBuiltinOrUnknown(nameOrPath) {
		if o.Columns != "" {
			return nil, fmt.Errorf("data: --columns %s is for tables in files; %s is a built-in set", o.Columns, nameOrPath)
		}
		return Range(nameOrPath, o.First, o.N, o.Seed)
	}
	s, err := byPath(nameOrPath, o)
	if err != nil || o.Labels != "" {
		return s, err
	}
	if path := siblingLabels(nameOrPath); path != "" {
		labels, names, err := readLabels(path)
		if err != nil {
			return nil, err
		}
		if err := s.setLabels(labels, names); err != nil {
			return nil, fmt.Errorf("data: %s beside %s: %w (--labels none leaves them away)", path, nameOrPath, err)
		}
	}
	return s, nil
}

// isBuiltinOrUnknown says that a name is not meant to be a file's.
func isBuiltinOrUnknown(name string) bool { return IsBuiltin(name) || !looksLikeFile(name) }
