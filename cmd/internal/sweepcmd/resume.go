package sweepcmd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"hbar/cmd/internal/loglik"
)

// journalFile is the file beside that of a shard with what is done of it: cells, distances of data to data, profiles that --bands has tried, and
// likelihoods: by fokkerplanck, by the other methods that do not depend on steps, and by the path integral for each number of steps and each profile.
func (o options) journalFile() string { return o.out + ".part" }

// journal opens the file, so that the same command goes on where it was stopped. Without --shard it is nil.
func (o options) journal(net *loglik.Network, f found) (*loglik.Journal, error) {
	if !o.shard.Shard.Given() {
		return nil, nil
	}
	m, err := o.manifest(net, f)
	if err != nil {
		return nil, err
	}
	m.Source, m.Args = "", nil // which do not change what is computed
	text, err := json.Marshal(struct {
		Manifest  any
		Distances string
		Sheet     bool // cells keep what is shown
	}{m, f.distances, o.sheet != ""})
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	return loglik.OpenJournal(o.journalFile(), hex.EncodeToString(sum[:]), o.resume)
}
