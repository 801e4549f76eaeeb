package solver

import (
	"fmt"
	"math"
	"slices"
	"strings"
)

// Schedule is a linear forward SDE dx = a(t) x dt + g(t) dw with p(x_t|x_0) = N(α(t) x_0, σ(t)² I), so that α' = aα and
// (σ²)' = 2aσ² + g². A schedule knows nothing of step counts or networks. All methods are closed forms.
type Schedule interface {
	Name() string
	// Tmin and Tmax bound the time: generation runs from Tmax down to Tmin.
	Tmin() float64
	Tmax() float64
	Alpha(t float64) float64
	Sigma(t float64) float64
	Sigma2(t float64) float64 // σ²
	Drift(t float64) float64  // a
	Diffusion2(t float64) float64
	// Lambda is log(α/σ), strictly decreasing in t; g² = −2σ² dλ/dt.
	Lambda(t float64) float64
	// TimeOfLambda is the inverse of Lambda. It is not clamped to [Tmin, Tmax].
	TimeOfLambda(lambda float64) float64
	// PriorStd is the standard deviation of the prior N(0, PriorStd² I) at Tmax.
	PriorStd() float64
	// Params are the settings that NewSchedule needs, with the name, to make the schedule again.
	Params() map[string]float64
}

// Span is the time interval of a schedule.
type Span struct{ Start, End float64 }

// Tmin is the time at which generation ends.
func (s *Span) Tmin() float64 { return s.Start }

// Tmax is the time of the prior.
func (s *Span) Tmax() float64 { return s.End }

// settable is a schedule whose settings have names.
type settable interface {
	Schedule
	fields() map[string]*float64
	validate() error
}

// namedSchedule makes a schedule with its published settings.
type namedSchedule struct {
	name string
	make func() settable
}

func namesOf(list []namedSchedule) []string {
	names := make([]string, len(list))
	for i, s := range list {
		names[i] = s.name
	}
	return names
}

// schedules lists the schedules of scalars.
var schedules = []namedSchedule{
	{"simple", func() settable { return &Simple{Beta: 20, Span: Span{0.01, 1}} }},
	{"cosine", func() settable { return &Cosine{Span: Span{0.01, 1 - 1e-3}} }},
	{"vp", func() settable { return &VP{BetaMin: 0.1, BetaMax: 20, Span: Span{1e-3, 1}} }},
	{"subvp", func() settable { return &SubVP{VP{BetaMin: 0.1, BetaMax: 20, Span: Span{1e-3, 1}}} }},
	{"ve", func() settable { return &VE{SigmaMin: 0.01, SigmaMax: 50, Span: Span{1e-5, 1}} }},
	{"edm", func() settable { return &EDM{Span: Span{0.002, 80}} }},
	{"ddpm", func() settable { return &DDPM{BetaStart: 1e-4, BetaEnd: 0.02, Steps: 1000, Span: Span{1e-3, 1}} }},
	{"ddpm-cosine", func() settable { return &DDPM{Cosine: true, Steps: 1000, Span: Span{1e-3, 1}} }},
}

// blockSchedules lists the schedules of matrices.
var blockSchedules = []namedSchedule{{"cld", newCLD}, {"cld3", newCLD3}, {"block", newBlock}}

// BlockScheduleNames lists the schedules of matrices (Blocks).
func BlockScheduleNames() []string { return namesOf(blockSchedules) }

// AllScheduleNames lists the schedules of scalars and of matrices.
func AllScheduleNames() []string { return append(ScheduleNames(), BlockScheduleNames()...) }

// ScheduleNames lists the schedules of scalars.
func ScheduleNames() []string { return namesOf(schedules) }

// ParseSchedule returns the schedule of that name with its published settings.
func ParseSchedule(name string) (Schedule, error) { return NewSchedule(name, nil) }

// NewSchedule returns the schedule of that name with the given settings; those not given keep their published values.
// All schedules have "tmin" and "tmax"; simple has "beta", vp and subvp "beta_min" and "beta_max", ve "sigma_min" and
// "sigma_max", ddpm "beta_start" and "beta_end", ddpm and ddpm-cosine "steps"; cld and cld3 "beta" and "gamma", cld "mass", block "beta",
// "size" and its matrices "a01", "q11", "s11", ….
func NewSchedule(name string, params map[string]float64) (Schedule, error) {
	for _, e := range slices.Concat(schedules, blockSchedules) {
		if e.name != name {
			continue
		}
		s := e.make()
		fields := s.fields()
		for _, k := range sortedKeys(params) {
			p, ok := fields[k]
			if !ok {
				return nil, fmt.Errorf("solver: schedule %q has no setting %q; have %s", name, k, strings.Join(sortedKeys(fields), ", "))
			}
			if v := params[k]; math.IsNaN(v) || math.IsInf(v, 0) {
				return nil, fmt.Errorf("solver: schedule %q: %s = %v is not finite", name, k, v)
			}
			*p = params[k]
		}
		if err := s.validate(); err != nil {
			return nil, err
		}
		return s, nil
	}
	return nil, unknown("schedule", name, AllScheduleNames())
}

func paramsOf(s settable) map[string]float64 {
	m := map[string]float64{}
	for k, p := range s.fields() {
		m[k] = *p
	}
	return m
}

func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

func unknown(what, name string, have []string) error {
	return fmt.Errorf("solver: %s %q unknown; have %s", what, name, strings.Join(have, ", "))
}

// valid reports the first condition that does not hold.
func valid(s Schedule, conditions ...condition) error {
	conditions = append(conditions, condition{s.Tmin() < s.Tmax(), "tmin < tmax"})
	for _, c := range conditions {
		if !c.holds {
			return fmt.Errorf("solver: schedule %q needs %s; got %v", s.Name(), c.text, s.Params())
		}
	}
	return nil
}

type condition struct {
	holds bool
	text  string
}
