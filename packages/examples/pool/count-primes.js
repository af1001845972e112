/** What a thread of the pool does: the primes in one block of numbers. */
const BLOCK = 20_000;

/** @param {number} block @returns {number} */
export default function countPrimes(block) {
  let primes = 0;
  for (let number = block * BLOCK; number < (block + 1) * BLOCK; number++) if (isPrime(number)) primes++;
  return primes;
}

/** @param {number} number */
function isPrime(number) {
  if (number < 2) return false;
  for (let factor = 2; factor * factor <= number; factor++) if (number % factor === 0) return false;
  return true;
}
