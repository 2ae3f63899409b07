# Draws the table of runs/scale: gnuplot -e "data='scale.tsv'; picture='scale.png'" scale.gnuplot
set terminal pngcairo size 1200,420 font "sans,10"
set output picture
set datafile separator "\t"
set key autotitle columnhead
set multiplot layout 1,3 title "Cost against GPUs: encrypted nodes of 8, one row a second, each durable before it is acknowledged"
set logscale xy
set grid
set xlabel "GPUs"
set format x "10^{%L}"
unset key
do for [column in "cores_all peak_mb disk_mb"] {
  set ylabel (column eq "cores_all" ? "processor cores" : column eq "peak_mb" ? "memory, MB" : "disk, MB a minute")
  plot data using "gpus":column with linespoints pointtype 7 linewidth 2 linecolor rgb "#0072b2"
}
unset multiplot
