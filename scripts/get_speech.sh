#!/usr/bin/env bash
# Makes spoken digits with espeak-ng, into a folder, datasets/speech unless another is named: one sub-folder for each digit, 16-bit PCM at
# 8000 samples/s, 4096 samples each, in English voices of several kinds, speeds and pitches. 1680 files, some minutes.
set -euo pipefail
out=${1:-datasets/speech}
for tool in espeak-ng sox; do
  command -v $tool >/dev/null || { echo "get_speech: $tool is missing; apt-get install espeak-ng sox" >&2; exit 1; }
done
[ ! -e "$out" ] || [ -z "$(ls -A "$out")" ] || { echo "get_speech: $out holds files already; name another folder" >&2; exit 1; }
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
words=(zero one two three four five six seven eight nine)
for digit in 0 1 2 3 4 5 6 7 8 9; do
  mkdir -p "$work/speech/$digit"
  for voice in en-us en-gb; do
    for kind in m1 m2 m3 m4 m5 m6 m7 f1 f2 f3 f4 f5 croak whisper; do
      for speed in 200 240; do
        for pitch in 35 50 65; do
          espeak-ng -v "$voice+$kind" -s $speed -p $pitch -w "$work/long.wav" "${words[$digit]}"
          # Silence before the word goes, silence after it makes all equally long. -D: no dither, so that the files are the same again. -V1: no warning that the silence was cut.
          sox -V1 -D "$work/long.wav" -c 1 -b 16 "$work/speech/$digit/$voice-$kind-$speed-$pitch.wav" \
            gain -n -3 rate 8000 silence 1 0.002 1% pad 0 4096s trim 0 4096s fade 0 4096s 80s
        done
      done
    done
  done
done
n=$(find "$work/speech" -name '*.wav' | wc -l)
mkdir -p "$out"
mv "$work"/speech/* "$out/"
echo "$out: $n sounds of ten digits; go run ./cmd/train --data $out --length 4096"
