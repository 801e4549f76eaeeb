package model

import (
	"errors"
	"fmt"
	"strconv"
)

// What Options.Class can be beside the number of a class.
const (
	ClassAll  = "all"
	ClassNone = "none"
)

// labels sets Label to what the options ask for, and refuses what the network does not take.
func (m *Model) labels(o Options) error {
	c := m.Config()
	classes := c.Classes()
	if classes == 0 {
		if o.Class != "" && o.Class != ClassNone || o.Guidance != 0 {
			return errors.New("this network was trained without labels; classes and guidance are for networks with them")
		}
		return nil
	}
	if o.Guidance != 0 && !c.NoLabel() {
		return fmt.Errorf("guidance needs a network that was also trained without labels, to know what they are worth; this one was trained with its %d classes only", classes)
	}
	if o.Guidance != 0 && (o.Class == ClassNone || o.Class == "" && !o.InTurn) {
		return errors.New("guidance is towards a class, and the class is none; name one, or all, or leave guidance out")
	}
	class := o.Class
	if class == "" && o.InTurn {
		class = ClassAll
	}
	switch class {
	case ClassAll:
		m.Label = func(sample uint64) float64 { return float64(sample % uint64(classes)) }
		return nil
	case ClassNone, "":
		if !c.NoLabel() && !o.InTurn {
			return fmt.Errorf("this network takes one of %d classes and was never trained without, as is asked for here; a network that was trained with label dropout would do", classes)
		}
		if !c.NoLabel() {
			return fmt.Errorf("this network takes one of %d classes and was never trained without; name one of 0 to %d, or all", classes, classes-1)
		}
		m.Label = func(uint64) float64 { return float64(classes) }
		return nil
	}
	k, err := strconv.Atoi(class)
	if err != nil || k < 0 || k >= classes {
		return fmt.Errorf("class %q: the network has the classes 0 to %d; name one of these, or none", class, classes-1)
	}
	m.Label = func(uint64) float64 { return float64(k) }
	return nil
}
