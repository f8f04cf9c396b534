-- What a swap has changed in the roster; no row when it has changed nothing.
SELECT moves FROM shift_swap WHERE swap = $1
