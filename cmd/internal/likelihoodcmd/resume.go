package likelihoodcmd

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"

	"hbar/cmd/internal/loglik"
)

// journal opens the file beside the result that holds what is done of flow and path integral, so that the same command goes on where it
// was stopped.
func (o *options) journal(net *loglik.Network, p *loglik.Points) (*loglik.Journal, error) {
	run, err := o.fingerprint(net, p)
	if err != nil {
		return nil, err
	}
	return loglik.OpenJournal(o.Out+".part", run, o.Resume)
}

// fingerprint names all that values depend on: options, parameters and points.
func (o *options) fingerprint(net *loglik.Network, p *loglik.Points) (string, error) {
	record := o.record()
	for _, free := range []string{"out", "csv", "plot", "image", "workers", "checkpoint", "data", "against"} {
		delete(record, free)
	}
	record["own_score"] = o.ownDigest()
	record["schedule"], record["schedule_params"], record["d"] = net.Schedule.Name(), net.Schedule.Params(), p.D
	record["shard"] = o.shard.Shard.Suffix()
	text, err := json.Marshal(record)
	if err != nil {
		return "", err
	}
	h := sha256.New()
	h.Write(text)
	parameters, err := net.ParameterDigest()
	if err != nil {
		return "", err
	}
	h.Write([]byte(parameters))
	h.Write([]byte(p.Digest()))
	return hex.EncodeToString(h.Sum(nil)), nil
}
