//! How big the parts of an upload are: decided before the first byte, from what the provider allows, what is expected, and
//! how much memory there is. Pure functions.

use crate::base::failure::{Failure, Kind, Result};
use crate::base::units::{MIB, format_bytes};
use crate::store::Limits;

/// The least part that is chosen unasked, where memory allows: smaller ones make more requests than they save.
pub const PART_BYTES_DEFAULT: u64 = 16 * MIB;

/// How many parts are sent at once by default.
pub const IN_FLIGHT_DEFAULT: usize = 3;

/// How many parts may be sent at once at most; each is a thread and a connection.
pub const IN_FLIGHT_MAX: usize = 64;

/// What all part buffers may hold together by default, in bytes.
pub const MEMORY_BYTES_DEFAULT: u64 = 64 * MIB;

/// Parts are chosen as if the stream were so many times longer than expected.
const HEADROOM: u64 = 4;

/// Growing parts take a step after each of so many equal shares of the parts that an object may have.
const GROWTH_STEPS: u32 = 8;

/// What a plan is made from.
#[derive(Clone, Debug)]
pub struct PlanInput {
    /// What the provider allows.
    pub limits: Limits,
    /// How many bytes are likely to be stored; `None` if nobody knows.
    pub expected_stored_bytes: Option<u64>,
    /// The part size that the user asked for.
    pub part_bytes: Option<u64>,
    /// How many parts in flight the user asked for.
    pub in_flight: Option<usize>,
    /// What all part buffers may hold together.
    pub memory_bytes: u64,
}

/// Whether parts become larger as an object becomes longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Growth {
    /// All parts but the last are equal.
    Fixed,
    /// After every `every_parts` parts, the next are half as large again.
    Grow {
        /// How many parts of one size.
        every_parts: u32,
        /// The size at which growth ends.
        part_bytes_max: u64,
    },
}

/// How a stream is cut into parts and objects.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartPlan {
    /// The size of the first part, in bytes.
    pub part_bytes: u64,
    /// How many parts are sent at once.
    pub in_flight: usize,
    /// How many parts one object may have.
    pub parts_max: u32,
    /// How later parts differ from the first.
    pub growth: Growth,
    /// How long one object may be, in bytes.
    pub object_bytes_max: u64,
}

impl PartPlan {
    /// How many bytes the part `number` (from 1) at `offset` of the object `object` (from 0) holds when it is full; `None` if
    /// the object is full, and the stream goes on in the next one.
    #[must_use]
    pub fn part_bytes_at(&self, object: usize, number: u32, offset: u64) -> Option<u64> {
        if number > self.parts_max {
            return None;
        }
        let part_bytes = match self.growth {
            Growth::Fixed => self.part_bytes,
            // A stream that filled one object has outgrown what was expected of it.
            Growth::Grow { part_bytes_max, .. } if object > 0 => part_bytes_max,
            Growth::Grow {
                every_parts,
                part_bytes_max,
            } => grown(
                self.part_bytes,
                number.saturating_sub(1) / every_parts.max(1),
                part_bytes_max,
            ),
        };
        match self.object_bytes_max.saturating_sub(offset) {
            0 => None,
            // A part that ends the object may be as short as it likes.
            room => Some(part_bytes.min(room)),
        }
    }

    /// What the part buffers hold together at most, in bytes: those in flight and the one being filled.
    #[must_use]
    pub fn memory_bytes(&self) -> u64 {
        let part_bytes_max = match self.growth {
            Growth::Fixed => self.part_bytes,
            Growth::Grow { part_bytes_max, .. } => part_bytes_max,
        };
        part_bytes_max.saturating_mul(buffers_for(self.in_flight))
    }
}

fn grown(part_bytes: u64, steps: u32, part_bytes_max: u64) -> u64 {
    let mut size = part_bytes;
    for _ in 0..steps {
        if size >= part_bytes_max {
            break;
        }
        size = (size / 2 * 3).div_ceil(MIB) * MIB;
    }
    size.min(part_bytes_max)
}

fn buffers_for(in_flight: usize) -> u64 {
    in_flight as u64 + 1
}

/// Chooses the part size and how parts grow.
///
/// # Errors
/// [`Kind::Usage`] if what the user asked for is not allowed by the provider or does not fit into the memory.
pub fn plan(input: &PlanInput) -> Result<PartPlan> {
    let limits = &input.limits;
    let in_flight = in_flight_for(input)?;
    let memory_part_bytes = input.memory_bytes / buffers_for(in_flight);
    let part_bytes_max = whole_mebibytes(memory_part_bytes.min(limits.part_bytes_max)).max(limits.part_bytes_min);
    let (part_bytes, may_grow) = match input.part_bytes {
        Some(part_bytes) => (part_bytes, false),
        None => {
            let expected = input.expected_stored_bytes.unwrap_or(0).saturating_mul(HEADROOM);
            let needed = expected.div_ceil(u64::from(limits.parts_max.max(1)));
            let needed = needed.checked_next_multiple_of(MIB).unwrap_or(u64::MAX);
            let wanted = needed.max(PART_BYTES_DEFAULT).max(limits.part_bytes_min);
            (wanted.min(part_bytes_max), true)
        }
    };
    let growth = if may_grow && !limits.parts_equal && part_bytes < part_bytes_max {
        Growth::Grow {
            every_parts: (limits.parts_max / GROWTH_STEPS).max(1),
            part_bytes_max,
        }
    } else {
        Growth::Fixed
    };
    Ok(PartPlan {
        part_bytes,
        in_flight,
        parts_max: limits.parts_max.max(1),
        growth,
        object_bytes_max: limits.object_bytes_max.max(limits.part_bytes_min),
    })
}

/// Rounds down, but not to nothing.
fn whole_mebibytes(bytes: u64) -> u64 {
    if bytes < MIB { bytes } else { bytes / MIB * MIB }
}

fn in_flight_for(input: &PlanInput) -> Result<usize> {
    let limits = &input.limits;
    if let Some(in_flight) = input.in_flight
        && !(1..=IN_FLIGHT_MAX).contains(&in_flight)
    {
        return Err(
            Failure::new(Kind::Usage, format!("Cannot send {in_flight} parts at once"))
                .hint(format!("Choose from 1 to {IN_FLIGHT_MAX}")),
        );
    }
    if let Some(part_bytes) = input.part_bytes
        && !(limits.part_bytes_min..=limits.part_bytes_max).contains(&part_bytes)
    {
        return Err(Failure::new(
            Kind::Usage,
            format!(
                "This store does not take parts of {} ({part_bytes} bytes)",
                format_bytes(part_bytes)
            ),
        )
        .hint(format!(
            "Choose a part size from {} to {}",
            format_bytes(limits.part_bytes_min),
            format_bytes(limits.part_bytes_max)
        )));
    }
    let smallest = input.part_bytes.unwrap_or(limits.part_bytes_min).max(1);
    let buffers = usize::try_from(input.memory_bytes / smallest).unwrap_or(usize::MAX);
    let wanted = input.in_flight.unwrap_or(IN_FLIGHT_DEFAULT);
    if buffers > wanted {
        return Ok(wanted);
    }
    match input.in_flight {
        // Fewer parts at once are a smaller loss than more memory than was granted.
        None if buffers >= 2 => Ok(buffers - 1),
        _ => {
            let needed = smallest.saturating_mul(buffers_for(input.in_flight.unwrap_or(1)));
            Err(Failure::new(
                Kind::Usage,
                format!(
                    "Parts of {} do not fit into {} of memory",
                    format_bytes(smallest),
                    format_bytes(input.memory_bytes)
                ),
            )
            .hint(format!(
                "Allow {} of memory, or choose smaller parts or fewer at once",
                format_bytes(needed)
            )))
        }
    }
}

#[cfg(test)]
mod tests;
